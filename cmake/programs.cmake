# program(NAME main [LINK rooms…]): an executable, once its main file exists.
function(program name main)
  cmake_parse_arguments(ARG "" "" "LINK" ${ARGN})
  if(EXISTS ${CMAKE_SOURCE_DIR}/${main})
    add_executable(${name} ${main})
    foreach(below ${ARG_LINK})
      target_link_libraries(${name} PRIVATE db_${below})
    endforeach()
  endif()
endfunction()

program(databridge src/daemon/main.cc LINK daemon)
program(databridgectl src/ctl/main.cc LINK ctl)
program(databridge-sim sim/main.cc LINK sim)
