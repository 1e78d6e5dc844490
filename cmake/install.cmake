install(TARGETS pefomed pefomed_cli)
install(DIRECTORY include/ DESTINATION ${CMAKE_INSTALL_INCLUDEDIR})
configure_file(cmake/pefomed.pc.in pefomed.pc @ONLY)
install(FILES ${CMAKE_BINARY_DIR}/pefomed.pc DESTINATION ${CMAKE_INSTALL_LIBDIR}/pkgconfig)
