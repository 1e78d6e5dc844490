# What other people wrote and we use; each has a line in docs/decisions/. All are Debian 12's.
find_package(PkgConfig REQUIRED)
find_package(Threads REQUIRED)
find_package(JPEG REQUIRED)
find_package(PNG REQUIRED)
find_package(CURL REQUIRED)
find_package(OpenSSL REQUIRED COMPONENTS Crypto)
pkg_check_modules(JANSSON REQUIRED IMPORTED_TARGET jansson)
pkg_check_modules(YAML REQUIRED IMPORTED_TARGET yaml-0.1)
pkg_check_modules(SQLITE REQUIRED IMPORTED_TARGET sqlite3)
pkg_check_modules(ZIP REQUIRED IMPORTED_TARGET libzip)
pkg_check_modules(PCRE2 REQUIRED IMPORTED_TARGET libpcre2-8)
pkg_check_modules(UTF8PROC REQUIRED IMPORTED_TARGET libutf8proc)
pkg_check_modules(CAIRO REQUIRED IMPORTED_TARGET cairo-svg cairo-png)
pkg_check_modules(CHARLS REQUIRED IMPORTED_TARGET charls)
pkg_check_modules(OPENJPEG REQUIRED IMPORTED_TARGET libopenjp2)
pkg_check_modules(TIFF REQUIRED IMPORTED_TARGET libtiff-4)
pkg_check_modules(WEBP REQUIRED IMPORTED_TARGET libwebp libwebpdemux)
find_package(ZLIB REQUIRED)
find_library(NIFTI_LIBRARY nifti2 REQUIRED)
find_path(NIFTI_INCLUDE nifti2_io.h PATH_SUFFIXES nifti REQUIRED) # which includes its neighbours by their bare names
pkg_check_modules(DEFLATE REQUIRED IMPORTED_TARGET libdeflate)
find_library(DNNL_LIBRARY dnnl REQUIRED)
# Of DCMTK's many libraries those that src/image/dicom_dcmtk.cpp calls.
set(PFM_DCMTK "")
foreach(part dcmjpeg dcmsr dcmdata oflog ofstd)
    find_library(DCMTK_${part} ${part} REQUIRED)
    list(APPEND PFM_DCMTK ${DCMTK_${part}})
endforeach()
set(PFM_LIBRARIES PkgConfig::JANSSON PkgConfig::YAML PkgConfig::ZIP PkgConfig::SQLITE PkgConfig::PCRE2 PkgConfig::UTF8PROC PkgConfig::CAIRO JPEG::JPEG PNG::PNG
    CURL::libcurl OpenSSL::Crypto PkgConfig::CHARLS PkgConfig::OPENJPEG PkgConfig::TIFF PkgConfig::WEBP ${NIFTI_LIBRARY} ZLIB::ZLIB PkgConfig::DEFLATE ${PFM_DCMTK} ${DNNL_LIBRARY} gomp Threads::Threads m)

set(PFM_WARNINGS -Wall -Wextra -Werror -Wno-missing-field-initializers -Wshadow -Wpointer-arith -Wcast-qual -Wvla
    $<$<COMPILE_LANGUAGE:C>:-Wstrict-prototypes> $<$<COMPILE_LANGUAGE:C>:-Wmissing-prototypes>)
