# Tests of form (unit) and of whole processes (integration). The tests of processes are Python
# scripts in tests/ that use only the standard library. Each is one entry of ctest, and runs the
# programs of this build.
find_package(Python3 REQUIRED COMPONENTS Interpreter)

# form_test(NAME rooms…): adds tests/NAME_test.cc, which checks the source tree itself.
function(form_test name)
  add_executable(${name}_test tests/${name}_test.cc)
  target_link_libraries(${name}_test PRIVATE ${ARGN} GTest::gtest_main)
  add_test(NAME ${name} COMMAND ${name}_test WORKING_DIRECTORY ${CMAKE_SOURCE_DIR})
  set_tests_properties(${name} PROPERTIES LABELS unit TIMEOUT 900)
endfunction()
form_test(tidy)
form_test(documents db_flow db_daemon)

# clang must find a member that is used without its mutex. Here the mistake is planted. The whole
# program is checked when the asan preset is built (-Wthread-safety, CMakeLists.txt).
add_test(NAME thread_safety COMMAND clang++ -x c++ -std=c++20 -fsyntax-only -Wthread-safety
  -I${CMAKE_SOURCE_DIR}/src ${CMAKE_SOURCE_DIR}/tests/testdata/unlocked.txt)
set_tests_properties(thread_safety PROPERTIES LABELS unit TIMEOUT 60
  PASS_REGULAR_EXPRESSION "reading variable 'guarded_' requires holding mutex 'mutex_'")

# Finds code that no program uses. It reads the objects of a build with all tests, as g++ makes
# them.
if(CMAKE_CXX_COMPILER_ID STREQUAL "GNU" AND NOT DATABRIDGE_SANITIZE AND NOT DATABRIDGE_CANARIES
    AND NOT CMAKE_CXX_FLAGS MATCHES "coverage")
  add_test(NAME dead_code COMMAND ${Python3_EXECUTABLE} ${CMAKE_SOURCE_DIR}/tests/dead_code_test.py)
  set_tests_properties(dead_code PROPERTIES LABELS unit TIMEOUT 300
    ENVIRONMENT "DATABRIDGE_BUILD=${CMAKE_BINARY_DIR};PYTHONDONTWRITEBYTECODE=1")
endif()

# process_test(NAME SECONDS): adds tests/NAME_test.py, which is killed after SECONDS. These tests
# share the cores of the machine and the port numbers of the reference, so they run one at a time.
function(process_test name seconds)
  add_test(NAME process_${name}
    COMMAND ${Python3_EXECUTABLE} ${CMAKE_SOURCE_DIR}/tests/${name}_test.py
    WORKING_DIRECTORY ${CMAKE_BINARY_DIR})
  set_tests_properties(process_${name} PROPERTIES
    LABELS integration TIMEOUT ${seconds} RUN_SERIAL ON
    ENVIRONMENT "DATABRIDGE_BUILD=${CMAKE_BINARY_DIR};PYTHONDONTWRITEBYTECODE=1")
endfunction()

process_test(settings 30)
process_test(formation 120)
process_test(join 60)
process_test(member 240)
process_test(discovery 120)
process_test(multicast 120)
process_test(dns 180)
process_test(etcd 150)
process_test(crash 180)
process_test(pause 120)
process_test(lapse 180)
process_test(partition 180)
process_test(bad_input 180)
process_test(flood 180)
process_test(two_machines 120)
process_test(sync 120)
process_test(load 240)
process_test(seven 150)
process_test(flow 300)
process_test(demo 120)
process_test(signals 120)
process_test(restart 150)
process_test(features 60)
process_test(ctl 60)
process_test(five 180)
process_test(guardian 180)
process_test(copies 120)
process_test(recover 180)
process_test(chaos 900)
process_test(disk 90)
process_test(token 120)
process_test(tls 240)
# The library is made only where it is installed from.
if(TARGET databridge_shared)
  process_test(library 240)
endif()
