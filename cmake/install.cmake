# What `make install` leaves: program, library, public headers, pkg-config file, completion script.
install(TARGETS pefomed_cli COMPONENT runtime)
install(TARGETS pefomed)
install(DIRECTORY include/ DESTINATION ${CMAKE_INSTALL_INCLUDEDIR})

# The pkg-config file finds its prefix from its own place, so that the tree can be installed anywhere and moved. A static library
# needs what it was linked with named openly; a shared one carries it.
file(RELATIVE_PATH PFM_PC_PREFIX "/${CMAKE_INSTALL_LIBDIR}/pkgconfig" "/")
if(BUILD_SHARED_LIBS)
    set(PFM_PC_PRIVATE ".private")
else()
    set(PFM_PC_LIBS "-ldnnl -ldcmnet -ldcmjpeg -ldcmsr -ldcmdata -loflog -lofstd -lnifti2 -lstdc++ -lgomp -lpthread -lm")
endif()
configure_file(cmake/pefomed.pc.in pefomed.pc @ONLY)
install(FILES ${CMAKE_BINARY_DIR}/pefomed.pc DESTINATION ${CMAKE_INSTALL_LIBDIR}/pkgconfig)

install(FILES ${CMAKE_BINARY_DIR}/pefomed.completion RENAME pefomed DESTINATION ${CMAKE_INSTALL_DATADIR}/bash-completion/completions
        COMPONENT runtime)
