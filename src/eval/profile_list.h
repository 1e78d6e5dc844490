/* Every profile, a line each, in the order in which score --list shows them; the first is what counts where none is named. */
#define PFM_PROFILE_LIST(X)                                                                                                    \
    X(vqa)                                                                                                                     \
    X(medexpqa)
