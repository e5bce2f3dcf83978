# SPDX-License-Identifier: Apache-2.0
# accel_test(<name> LABEL unit|pass|conformance|system|fuzz SOURCES a.c ... [LIBS accel_x ...]
#            [ARGS arg ...] [TIMEOUT seconds] [LARGE])
# A test program that exits 0 (passed), 77 (skipped, reason printed) or anything else (failed).
# cmocka and tests/common (test_data.h) are linked always. LARGE: a large model; the sanitizer
# stages of ./check leave it out (label "large").
function(accel_test name)
  cmake_parse_arguments(arg "LARGE" "LABEL;TIMEOUT" "SOURCES;LIBS;ARGS" ${ARGN})
  if(NOT arg_LABEL OR NOT arg_SOURCES OR arg_UNPARSED_ARGUMENTS)
    message(FATAL_ERROR "accel_test(${name}): needs LABEL and SOURCES; see cmake/AccelTest.cmake")
  endif()
  add_executable(${name} ${arg_SOURCES})
  target_link_libraries(${name} PRIVATE accel_flags accel_test_common ${arg_LIBS} cmocka)
  add_test(NAME ${name} COMMAND ${name} ${arg_ARGS})
  set(large)
  if(arg_LARGE)
    set(large LARGE)
  endif()
  accel_test_properties(${name} LABEL ${arg_LABEL} TIMEOUT "${arg_TIMEOUT}" ${large})
endfunction()

# The same properties for a test added by add_test() itself (scripts, tool runs).
# accel_test_properties(<name> LABEL label [TIMEOUT seconds] [LARGE])
function(accel_test_properties name)
  cmake_parse_arguments(arg "LARGE" "LABEL;TIMEOUT" "" ${ARGN})
  if(NOT arg_TIMEOUT)
    set(arg_TIMEOUT 120)
  endif()
  set(labels ${arg_LABEL})
  if(arg_LARGE)
    list(APPEND labels large)
  endif()
  set_tests_properties(${name} PROPERTIES LABELS "${labels}" TIMEOUT ${arg_TIMEOUT}
                                          SKIP_RETURN_CODE 77)
  if(ACCEL_DATA)
    set_property(TEST ${name} APPEND PROPERTY ENVIRONMENT "ACCEL_DATA=${ACCEL_DATA}")
  endif()
endfunction()
