# room(NAME [DIR d] [ON rooms…] [LINK targets…] [PROTO]): makes one library from the sources of the
# room, and one test program from its *_test.cc files. A room without sources has only headers.
# *_main.cc are programs.
find_package(RocksDB CONFIG REQUIRED)
find_package(OpenSSL REQUIRED)
find_package(spdlog REQUIRED)
find_package(CURL REQUIRED)
find_package(yaml-cpp REQUIRED)
find_package(CLI11 REQUIRED)

# Sets the definition only for files with a planted bug. All others compile as in a plain build, so
# the compiler cache has them.
function(plant_canaries)
  if(DATABRIDGE_CANARIES)
    foreach(source ${ARGN})
      file(STRINGS ${source} planted REGEX "CANAR(Y|IES)" LIMIT_COUNT 1)
      if(planted)
        set_property(SOURCE ${source} APPEND PROPERTY COMPILE_DEFINITIONS DATABRIDGE_CANARIES=1)
      endif()
    endforeach()
  endif()
endfunction()

add_library(watchdog OBJECT tests/watchdog.cc)
target_link_libraries(watchdog PRIVATE GTest::gtest)

function(room name)
  cmake_parse_arguments(ARG "PROTO" "DIR" "ON;LINK" ${ARGN})
  if(NOT ARG_DIR)
    set(ARG_DIR src/${name})
  endif()
  set(dir ${CMAKE_SOURCE_DIR}/${ARG_DIR})
  file(GLOB_RECURSE sources CONFIGURE_DEPENDS ${dir}/*.cc)
  plant_canaries(${sources})
  set(tests ${sources})
  list(FILTER tests INCLUDE REGEX "_test\\.cc$")
  list(FILTER sources EXCLUDE REGEX "_(test|main)\\.cc$|/main\\.cc$")
  file(GLOB protos CONFIGURE_DEPENDS ${dir}/proto/*.proto)

  if(sources OR protos)
    add_library(db_${name} STATIC ${sources})
    target_link_libraries(db_${name} PUBLIC fmt::fmt Threads::Threads ${ARG_LINK})
    set(kind PUBLIC)
  else()
    add_library(db_${name} INTERFACE)
    target_link_libraries(db_${name} INTERFACE fmt::fmt Threads::Threads ${ARG_LINK})
    set(kind INTERFACE)
  endif()
  target_include_directories(db_${name} ${kind} ${CMAKE_SOURCE_DIR}/include
    ${CMAKE_SOURCE_DIR}/src ${CMAKE_SOURCE_DIR})
  foreach(below ${ARG_ON})
    target_link_libraries(db_${name} ${kind} db_${below})
  endforeach()

  if(protos)
    set(generated ${CMAKE_BINARY_DIR}/generated)
    file(MAKE_DIRECTORY ${generated}/model/proto)
    foreach(proto ${protos})
      get_filename_component(stem ${proto} NAME_WE)
      set(out ${generated}/model/proto/${stem}.pb)
      add_custom_command(
        OUTPUT ${out}.cc ${out}.h
        COMMAND protobuf::protoc --cpp_out=${generated} -I${CMAKE_SOURCE_DIR}/src ${proto}
        DEPENDS ${proto})
      target_sources(db_${name} PRIVATE ${out}.cc ${out}.h)
      set_source_files_properties(${out}.cc PROPERTIES COMPILE_OPTIONS "-w")
    endforeach()
    target_include_directories(db_${name} SYSTEM PUBLIC ${generated})
  endif()

  if(tests)
    add_executable(${name}_test ${tests} $<TARGET_OBJECTS:watchdog>)
    target_link_libraries(${name}_test PRIVATE db_${name} GTest::gmock GTest::gtest_main)
    if(DATABRIDGE_SANITIZE)
      # Halves the compile time. The room itself is optimised.
      target_compile_options(${name}_test PRIVATE -O0)
    endif()
    add_test(NAME ${name} COMMAND ${name}_test WORKING_DIRECTORY ${CMAKE_SOURCE_DIR})
    # This is 3 times the time of the slowest room under sanitizers, and more than the watchdog
    # allows.
    set_tests_properties(${name} PROPERTIES LABELS unit TIMEOUT 900)
  endif()
endfunction()
