# SPDX-License-Identifier: Apache-2.0
# accel_test(<name> LABEL unit|pass|conformance|system|fuzz SOURCES a.c ... [LIBS accel_x ...]
#            [ARGS arg ...] [TIMEOUT seconds] [LARGE] [ONNX_DATA])
# A test program that exits 0 (passed), 77 (skipped, reason printed) or anything else (failed).
# cmocka and tests/common (test_data.h) are linked always.
# LARGE: a large model; label "large"; the sanitizer stages of ./check leave it out.
# ONNX_DATA: needs the ONNX backend cases; runs after they are unpacked to $ACCEL_ONNX_DATA
# (node/, simple/, light/ ...).
function(accel_test name)
  cmake_parse_arguments(arg "LARGE;ONNX_DATA" "LABEL;TIMEOUT" "SOURCES;LIBS;ARGS" ${ARGN})
  if(NOT arg_LABEL OR NOT arg_SOURCES OR arg_UNPARSED_ARGUMENTS)
    message(FATAL_ERROR "accel_test(${name}): needs LABEL and SOURCES; see cmake/AccelTest.cmake")
  endif()
  add_executable(${name} ${arg_SOURCES})
  target_link_libraries(${name} PRIVATE accel_flags accel_test_common ${arg_LIBS} cmocka)
  add_test(NAME ${name} COMMAND ${name} ${arg_ARGS})
  set(flags)
  foreach(flag IN ITEMS LARGE ONNX_DATA)
    if(arg_${flag})
      list(APPEND flags ${flag})
    endif()
  endforeach()
  accel_test_properties(${name} LABEL ${arg_LABEL} TIMEOUT "${arg_TIMEOUT}" ${flags})
endfunction()

# The same properties for a test added by add_test() itself (scripts, tool runs).
# accel_test_properties(<name> LABEL label [TIMEOUT seconds] [LARGE] [ONNX_DATA])
function(accel_test_properties name)
  cmake_parse_arguments(arg "LARGE;ONNX_DATA" "LABEL;TIMEOUT" "" ${ARGN})
  if(NOT arg_TIMEOUT)
    set(arg_TIMEOUT 900) # a hang ends; a slow machine or a sanitizer does not fail a test
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
  if(arg_ONNX_DATA)
    set_property(TEST ${name} APPEND PROPERTY FIXTURES_REQUIRED onnx_data)
    set_property(TEST ${name} APPEND PROPERTY ENVIRONMENT
                                              "ACCEL_ONNX_DATA=${PROJECT_BINARY_DIR}/onnx/data")
  endif()
endfunction()
