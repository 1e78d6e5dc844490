# The Debian package, built by script/package with -DPEFOMED_PACKAGE=ON and the prefix /usr (docs/install.md): what CPack takes is the
# component `runtime`, the program with what it needs to be a service.
option(PEFOMED_PACKAGE "build with what the Debian package needs" OFF)
set(PEFOMED_MAINTAINER "pefomed maintainers <root@localhost>" CACHE STRING "who answers for the Debian package: Name <address>")
if(NOT PEFOMED_PACKAGE)
    return()
endif()

set(packaging ${CMAKE_SOURCE_DIR}/packaging)
install(DIRECTORY recipes DESTINATION share/pefomed COMPONENT runtime)
install(FILES LICENSE RENAME copyright DESTINATION share/doc/pefomed COMPONENT runtime)
install(FILES CHANGELOG.md docs/install.md docs/records.md docs/privacy.md DESTINATION share/doc/pefomed COMPONENT runtime)
install(FILES ${packaging}/pefomed.service DESTINATION /lib/systemd/system COMPONENT runtime)
install(FILES ${packaging}/serve.env DESTINATION /etc/pefomed COMPONENT runtime)

set(CPACK_GENERATOR DEB)
set(CPACK_SET_DESTDIR ON) # /etc and /lib lie outside of the prefix
set(CPACK_STRIP_FILES ON)
set(CPACK_COMPONENTS_ALL runtime)
set(CPACK_COMPONENTS_GROUPING ALL_COMPONENTS_IN_ONE)
set(CPACK_DEB_COMPONENT_INSTALL ON)
set(CPACK_PACKAGE_NAME pefomed)
set(CPACK_PACKAGE_VERSION ${PROJECT_VERSION})
set(CPACK_PACKAGE_VENDOR pefomed)
set(CPACK_PACKAGE_CONTACT "${PEFOMED_MAINTAINER}")
set(CPACK_PACKAGE_DESCRIPTION_SUMMARY "answers about medical images, by models fine-tuned on this machine")
set(CPACK_PACKAGE_DESCRIPTION
    "pefomed fine-tunes a few parameters of multimodal language models on medical images, scores the result,
and serves it to people and programs. It needs no graphics processor and no network. Not for clinical use.")
set(CPACK_DEBIAN_FILE_NAME DEB-DEFAULT)
set(CPACK_DEBIAN_PACKAGE_SECTION science)
set(CPACK_DEBIAN_PACKAGE_SHLIBDEPS ON)
set(CPACK_DEBIAN_PACKAGE_DEPENDS adduser)                                   # for the service's user
set(CPACK_DEBIAN_PACKAGE_RECOMMENDS "ca-certificates, fonts-dejavu-core")   # of fetch, and of figures
set(CPACK_DEBIAN_PACKAGE_SUGGESTS "python3-pip")                            # one of the two ways of fetch
set(CPACK_DEBIAN_PACKAGE_CONTROL_STRICT_PERMISSION ON)
set(CPACK_DEBIAN_PACKAGE_CONTROL_EXTRA ${packaging}/debian/conffiles ${packaging}/debian/postinst ${packaging}/debian/prerm
    ${packaging}/debian/postrm)
include(CPack)
