#include "pacs/dimse.h"

#include "image/dicom_dcmtk.h"

#include <new>
#include <stdio.h>
#include <string.h>

#include <dcmtk/config/osconfig.h>
#include <dcmtk/dcmdata/dctk.h>
#include <dcmtk/dcmnet/assoc.h>
#include <dcmtk/dcmnet/dcmlayer.h>
#include <dcmtk/dcmnet/dcmtrans.h>
#include <dcmtk/dcmnet/dimse.h>
#include <dcmtk/dcmnet/diutil.h>

#include <pthread.h>
#include <sys/socket.h>
#include <unistd.h>

namespace
{

enum { CONNECT_SECONDS = 10, SOCKET_SECONDS = 30 }; /* of a connection; within which a byte comes or goes */

/* DCMTK takes a connection that is there already from a global, so one at a time; its first message has arrived by then. */
pthread_mutex_t handing_over = PTHREAD_MUTEX_INITIALIZER;

/* A connection whose handshake was made, and whose first bytes were read, before. The socket is closed with it. */
class Stream : public DcmTransportConnection
{
  public:
    Stream(DcmNativeSocketType socket, pfm_dicom_secure *through) : DcmTransportConnection(socket), stream(through) {}
    ~Stream() override { close(); }
    OFCondition serverSideHandshake() override { return EC_Normal; }
    OFCondition clientSideHandshake() override { return EC_IllegalCall; }
    OFCondition renegotiate(const char *) override { return EC_IllegalCall; }
    ssize_t read(void *bytes, size_t count) override { return pfm_dicom_secure_read(stream, bytes, count, SOCKET_SECONDS); }
    ssize_t write(void *bytes, size_t count) override { return pfm_dicom_secure_write(stream, bytes, count, SOCKET_SECONDS); }
    void close() override
    {
        if (getSocket() == DCMNET_INVALID_SOCKET)
            return;
        pfm_dicom_secure_end(stream);
        (void)::close(getSocket());
        setSocket(DCMNET_INVALID_SOCKET);
    }
    void closeTransportConnection() override { close(); }
    unsigned long getPeerCertificateLength() override { return 0; }
    unsigned long getPeerCertificate(void *, unsigned long) override { return 0; }
    OFBool networkDataAvailable(int timeout) override { return pfm_dicom_secure_wait(stream, timeout); }
    OFBool isTransparentConnection() override { return OFFalse; }
    OFString &dumpConnectionParameters(OFString &out) override { return out; }

  private:
    pfm_dicom_secure *stream; /* borrowed */
};

class Layer : public DcmTransportLayer
{
  public:
    explicit Layer(pfm_dicom_secure *through) : stream(through) {}
    DcmTransportConnection *createConnection(DcmNativeSocketType socket, OFBool) override { return new Stream(socket, stream); }

  private:
    pfm_dicom_secure *stream;
};

class Network
{
  public:
    ~Network()
    {
        if (network != nullptr)
            (void)ASC_dropNetwork(&network);
    }
    T_ASC_Network *network = nullptr;
};

class Association
{
  public:
    ~Association()
    {
        if (association == nullptr)
            return;
        (void)ASC_dropAssociation(association);
        (void)ASC_destroyAssociation(&association);
    }
    T_ASC_Association *association = nullptr;
};

/* ---- serving ---- */

struct Serving {
    T_ASC_Association *association;
    const pfm_dimse_service *service;
    const pfm_dimse_handler *handler;
};

/* Class by class; what is left over is refused. */
OFCondition negotiate(T_ASC_Association *association, const pfm_dimse_service *service)
{
    const char *echo[] = {UID_VerificationSOPClass}, *plain[] = {UID_LittleEndianExplicitTransferSyntax, UID_LittleEndianImplicitTransferSyntax};
    OFCondition condition = ASC_acceptContextsWithPreferredTransferSyntaxes(association->params, echo, 1, plain, 2);
    for (int i = 0; condition.good() && i < numberOfDcmAllStorageSOPClassUIDs; i++) {
        const char *one[] = {dcmAllStorageSOPClassUIDs[i]};
        if (dcmIsImageStorageSOPClassUID(one[0]))
            condition = ASC_acceptContextsWithPreferredTransferSyntaxes(association->params, one, 1,
                                                                        const_cast<const char **>(service->syntaxes),
                                                                        service->syntax_count);
    }
    return condition;
}

/* Tells of each class of which no context was accepted. */
void tell_refused(T_ASC_Association *association, const pfm_dimse_handler *handler)
{
    T_ASC_PresentationContext context, earlier;
    const int count = ASC_countPresentationContexts(association->params);
    for (int i = 0; i < count; i++) {
        bool told = ASC_getPresentationContext(association->params, i, &context).bad() ||
                    ASC_findAcceptedPresentationContextID(association, context.abstractSyntax) != 0;
        for (int k = 0; !told && k < i; k++)
            told = ASC_getPresentationContext(association->params, k, &earlier).good() &&
                   strcmp(earlier.abstractSyntax, context.abstractSyntax) == 0;
        if (!told)
            handler->refuses(handler->user, dcmFindNameOfUID(context.abstractSyntax, "a class that is not known"));
    }
}

pfm_dimse_end reject(T_ASC_Association *association, T_ASC_RejectParametersReason reason)
{
    const T_ASC_RejectParameters why = {ASC_RESULT_REJECTEDPERMANENT, ASC_SOURCE_SERVICEUSER, reason};
    (void)ASC_rejectAssociation(association, &why);
    return PFM_DIMSE_REJECTED;
}

/* The pieces of a data set as they come; true when all have. */
bool take_data(const Serving &s, T_ASC_PresentationContextID context)
{
    DUL_PDV piece;
    do {
        OFCondition condition = DUL_NextPDV(&s.association->DULassociation, &piece);
        if (condition.bad()) {
            condition = DUL_ReadPDVs(&s.association->DULassociation, nullptr, DUL_NOBLOCK, s.service->seconds);
            if (condition != DUL_PDATAPDUARRIVED || DUL_NextPDV(&s.association->DULassociation, &piece).bad())
                return false;
        }
        if (piece.pdvType != DUL_DATASETPDV || piece.presentationContextID != context)
            return false;
        if (piece.fragmentLength > 0 && !s.handler->data(s.handler->user, piece.data, piece.fragmentLength))
            return false;
    } while (!piece.lastPDV);
    return true;
}

bool store(const Serving &s, T_ASC_PresentationContextID context, const T_DIMSE_C_StoreRQ &request)
{
    T_ASC_PresentationContext accepted;
    if (request.DataSetType == DIMSE_DATASET_NULL ||
        ASC_findAcceptedPresentationContext(s.association->params, context, &accepted).bad() ||
        strcmp(accepted.abstractSyntax, request.AffectedSOPClassUID) != 0)
        return false;
    const pfm_dimse_object object = {request.AffectedSOPClassUID, request.AffectedSOPInstanceUID, accepted.acceptedTransferSyntax};
    s.handler->begin(s.handler->user, &object);
    if (!take_data(s, context))
        return false;
    T_DIMSE_C_StoreRSP response;
    memset(&response, 0, sizeof response);
    response.DimseStatus = s.handler->end(s.handler->user);
    response.MessageIDBeingRespondedTo = request.MessageID;
    response.DataSetType = DIMSE_DATASET_NULL;
    OFStandard::strlcpy(response.AffectedSOPClassUID, request.AffectedSOPClassUID, sizeof response.AffectedSOPClassUID);
    OFStandard::strlcpy(response.AffectedSOPInstanceUID, request.AffectedSOPInstanceUID, sizeof response.AffectedSOPInstanceUID);
    response.opts = O_STORE_AFFECTEDSOPCLASSUID | O_STORE_AFFECTEDSOPINSTANCEUID;
    return DIMSE_sendStoreResponse(s.association, context, &request, &response, nullptr).good();
}

/* One message after the other. */
pfm_dimse_end answer(const Serving &s)
{
    for (;;) {
        T_DIMSE_Message message;
        T_ASC_PresentationContextID context = 0;
        DcmDataset *detail = nullptr;
        OFCondition condition =
            DIMSE_receiveCommand(s.association, DIMSE_NONBLOCKING, s.service->seconds, &context, &message, &detail);
        delete detail;
        if (condition == DUL_PEERREQUESTEDRELEASE) {
            (void)ASC_acknowledgeRelease(s.association);
            return PFM_DIMSE_RELEASED;
        }
        if (condition == DUL_PEERABORTEDASSOCIATION)
            return PFM_DIMSE_ABORTED;
        bool good = condition.good();
        if (good && message.CommandField == DIMSE_C_ECHO_RQ)
            good = DIMSE_sendEchoResponse(s.association, context, &message.msg.CEchoRQ, STATUS_Success, nullptr).good();
        else
            good = good && message.CommandField == DIMSE_C_STORE_RQ && store(s, context, message.msg.CStoreRQ);
        if (!good) {
            (void)ASC_abortAssociation(s.association);
            return PFM_DIMSE_ABORTED;
        }
    }
}

/* The socket is DCMTK's from here on, unless nothing was made of it. */
OFCondition receive(int socket, Layer *layer, const pfm_dimse_service *service, Network &network, Association &association)
{
    (void)pthread_mutex_lock(&handing_over);
    dcmExternalSocketHandle.set(socket);
    OFCondition condition = ASC_initializeNetwork(NET_ACCEPTOR, 0, service->seconds, &network.network);
    if (condition.good() && layer != nullptr)
        condition = ASC_setTransportLayer(network.network, layer, 0);
    if (condition.good())
        condition = ASC_receiveAssociation(network.network, &association.association, service->pdu, nullptr, nullptr,
                                           layer != nullptr, DUL_NOBLOCK, service->seconds);
    dcmExternalSocketHandle.set(DCMNET_INVALID_SOCKET);
    (void)pthread_mutex_unlock(&handing_over);
    return condition;
}

pfm_dimse_end serve(int socket, pfm_dicom_secure *stream, const pfm_dimse_service *service, const pfm_dimse_handler *handler, pfm_dimse_title calling)
{
    Layer layer(stream);
    Network network;
    Association held;
    pfm_dimse_title called = "";
    if (receive(socket, stream != nullptr ? &layer : nullptr, service, network, held).bad() || held.association == nullptr)
        return PFM_DIMSE_GARBAGE;
    T_ASC_Association *association = held.association;
    if (ASC_getAPTitles(association->params, calling, sizeof(pfm_dimse_title), called, sizeof called, nullptr, 0).bad())
        return PFM_DIMSE_GARBAGE;
    if (strcmp(called, service->title) != 0)
        return reject(association, ASC_REASON_SU_CALLEDAETITLENOTRECOGNIZED);
    if (!handler->accepts(handler->user, calling))
        return reject(association, ASC_REASON_SU_CALLINGAETITLENOTRECOGNIZED);
    if (negotiate(association, service).bad() || ASC_acknowledgeAssociation(association).bad())
        return PFM_DIMSE_ABORTED;
    tell_refused(association, handler);
    return answer({association, service, handler});
}

/* ---- sending ---- */

bool fail(char *reason, const char *why)
{
    (void)snprintf(reason, 200, "%s", why);
    return false;
}

OFCondition propose(T_ASC_Parameters *parameters, const pfm_dimse_peer *peer, const char *own_title, const char *sop_class)
{
    char address[300];
    const char *syntaxes[] = {UID_LittleEndianExplicitTransferSyntax, UID_LittleEndianImplicitTransferSyntax};
    (void)snprintf(address, sizeof address, "%s:%d", peer->host, peer->port);
    (void)ASC_setAPTitles(parameters, own_title, peer->title, nullptr);
    (void)ASC_setPresentationAddresses(parameters, "localhost", address);
    (void)ASC_setTransportLayerType(parameters, OFFalse);
    return ASC_addPresentationContext(parameters, 1, sop_class, syntaxes, 2);
}

bool send_file(T_ASC_Association *association, DcmFileFormat &file, const char *sop_class, const char *sop_instance, int seconds,
               char *reason)
{
    T_DIMSE_C_StoreRQ request;
    T_DIMSE_C_StoreRSP response;
    DcmDataset *detail = nullptr;
    memset(&request, 0, sizeof request);
    memset(&response, 0, sizeof response);
    request.MessageID = association->nextMsgID++;
    OFStandard::strlcpy(request.AffectedSOPClassUID, sop_class, sizeof request.AffectedSOPClassUID);
    OFStandard::strlcpy(request.AffectedSOPInstanceUID, sop_instance, sizeof request.AffectedSOPInstanceUID);
    request.DataSetType = DIMSE_DATASET_PRESENT;
    request.Priority = DIMSE_PRIORITY_MEDIUM;
    const T_ASC_PresentationContextID context = ASC_findAcceptedPresentationContextID(association, sop_class);
    if (context == 0)
        return fail(reason, "it takes no structured reports of this kind");
    const OFCondition condition = DIMSE_storeUser(association, context, &request, nullptr, file.getDataset(), nullptr, nullptr,
                                                  DIMSE_NONBLOCKING, seconds, &response, &detail, nullptr);
    delete detail;
    if (condition.bad())
        return fail(reason, "the transfer broke off");
    if (response.DimseStatus != STATUS_Success && !DICOM_WARNING_STATUS(response.DimseStatus)) {
        (void)snprintf(reason, 200, "it refused it with status 0x%04X", response.DimseStatus);
        return false;
    }
    return true;
}

bool send(const pfm_dimse_peer *peer, const char *own_title, int seconds, const char *path, char *reason)
{
    Network network;
    Association held;
    DcmFileFormat file;
    OFString sop_class, sop_instance;
    T_ASC_Parameters *parameters = nullptr;
    if (file.loadFile(path).bad() || file.getDataset()->findAndGetOFString(DCM_SOPClassUID, sop_class).bad() ||
        file.getDataset()->findAndGetOFString(DCM_SOPInstanceUID, sop_instance).bad())
        return fail(reason, "the report's file cannot be read");
    if (ASC_initializeNetwork(NET_REQUESTOR, 0, seconds, &network.network).bad() ||
        ASC_createAssociationParameters(&parameters, ASC_DEFAULTMAXPDU).bad())
        return fail(reason, "no connection can be made");
    if (propose(parameters, peer, own_title, sop_class.c_str()).bad()) {
        (void)ASC_destroyAssociationParameters(&parameters);
        return fail(reason, "no connection can be made");
    }
    const OFCondition condition = ASC_requestAssociation(network.network, parameters, &held.association);
    if (held.association == nullptr)
        (void)ASC_destroyAssociationParameters(&parameters);
    if (condition == DUL_ASSOCIATIONREJECTED)
        return fail(reason, "it rejects the association; it may not know these titles");
    if (condition.bad())
        return fail(reason, "it cannot be reached");
    const bool sent = send_file(held.association, file, sop_class.c_str(), sop_instance.c_str(), seconds, reason);
    (void)(sent ? ASC_releaseAssociation(held.association) : ASC_abortAssociation(held.association));
    return sent;
}

} // namespace

extern "C" bool pfm_dimse_start(void)
{
    pfm_dcmtk_silence();
    dcmDisableGethostbyaddr.set(OFTrue);
    dcmConnectionTimeout.set(CONNECT_SECONDS);
    dcmSocketReceiveTimeout.set(SOCKET_SECONDS);
    dcmSocketSendTimeout.set(SOCKET_SECONDS);
    return dcmDataDict.isDictionaryLoaded();
}

extern "C" pfm_dimse_end pfm_dimse_serve(int socket, pfm_dicom_secure *stream, const pfm_dimse_service *service, const pfm_dimse_handler *handler,
                                         pfm_dimse_title calling)
{
    calling[0] = '\0';
    try {
        return serve(socket, stream, service, handler, calling);
    } catch (...) {
        return PFM_DIMSE_FAILED;
    }
}

extern "C" bool pfm_dimse_send(const pfm_dimse_peer *peer, const char *own_title, int seconds, const char *path, char *reason)
{
    try {
        return send(peer, own_title, seconds, path, reason);
    } catch (...) {
        return fail(reason, "memory ran out");
    }
}
