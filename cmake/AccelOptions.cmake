# SPDX-License-Identifier: Apache-2.0
# Build options shared by all folders. Every library and tool links accel_flags.

option(ACCEL_COMPILER "Build the compiler half (needs LLVM 19 and protobuf-c)" ON)
option(ACCEL_TESTS "Build the tests" ON)
set(ACCEL_SANITIZE "" CACHE STRING "Sanitizers, e.g. address,undefined or thread")

set(CMAKE_C_STANDARD 17)
set(CMAKE_C_STANDARD_REQUIRED ON)
set(CMAKE_C_EXTENSIONS OFF)
set(CMAKE_EXPORT_COMPILE_COMMANDS ON)
set(CMAKE_RUNTIME_OUTPUT_DIRECTORY ${CMAKE_BINARY_DIR}/bin)
set(CMAKE_ARCHIVE_OUTPUT_DIRECTORY ${CMAKE_BINARY_DIR}/lib)

add_library(accel_flags INTERFACE)
target_include_directories(accel_flags INTERFACE ${PROJECT_SOURCE_DIR})
target_compile_options(
  accel_flags
  INTERFACE -Wall -Wextra -Werror -Wshadow -Wstrict-prototypes -Wmissing-prototypes
            -Wpointer-arith -Wwrite-strings -fno-common)
if(NOT WIN32)
  target_compile_definitions(accel_flags INTERFACE _GNU_SOURCE)
  # For libaccel.so, which exports accel_* only: what is in it is never replaced from outside.
  set(CMAKE_POSITION_INDEPENDENT_CODE ON)
  target_compile_options(accel_flags INTERFACE -fno-semantic-interposition)
endif()
if(ACCEL_SANITIZE)
  target_compile_options(accel_flags INTERFACE -fsanitize=${ACCEL_SANITIZE}
                                               -fno-omit-frame-pointer -fno-sanitize-recover=all)
  target_link_options(accel_flags INTERFACE -fsanitize=${ACCEL_SANITIZE})
endif()
