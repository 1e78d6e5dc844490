# pfm_sources(a.c b.c ...): adds files of this folder to the library. One line a file, sorted.
function(pfm_sources)
    list(TRANSFORM ARGN PREPEND ${CMAKE_CURRENT_SOURCE_DIR}/)
    target_sources(pefomed PRIVATE ${ARGN})
endfunction()

# pfm_test_program(name [file.c...]): a cmocka program made from name.c and these, linked with the library.
function(pfm_test_program name)
    add_executable(${name} ${name}.c ${CMAKE_SOURCE_DIR}/tests/support.c ${ARGN})
    target_include_directories(${name} PRIVATE ${CMAKE_SOURCE_DIR}/src ${CMAKE_SOURCE_DIR}/tests)
    target_compile_definitions(${name} PRIVATE _GNU_SOURCE PFM_SOURCE_DIR="${CMAKE_SOURCE_DIR}")
    target_compile_options(${name} PRIVATE ${PFM_WARNINGS})
    target_link_libraries(${name} PRIVATE pefomed ${PFM_LIBRARIES} PkgConfig::CMOCKA)
endfunction()

# pfm_test(name [LABELS l...] [SOURCES file.c...] [ENVIRONMENT NAME=VALUE...]): such a program, run by CTest.
function(pfm_test name)
    cmake_parse_arguments(arg "" "" "LABELS;SOURCES;ENVIRONMENT" ${ARGN})
    get_filename_component(room ${CMAKE_CURRENT_SOURCE_DIR} NAME)
    if(room IN_LIST PFM_ANY_LEVEL)
        list(APPEND arg_LABELS any-level)
    endif()
    pfm_test_program(${name} ${arg_SOURCES})
    add_test(NAME ${name} COMMAND ${name} WORKING_DIRECTORY ${CMAKE_SOURCE_DIR})
    set_tests_properties(${name} PROPERTIES LABELS "${arg_LABELS}" ENVIRONMENT "${arg_ENVIRONMENT}" TIMEOUT 600)
endfunction()
