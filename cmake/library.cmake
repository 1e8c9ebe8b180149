# The C++ library, and what `cmake --install build/release --prefix DIR` puts into DIR: the programs,
# the library, its headers, a CMake package and a pkg-config file.
include(GNUInstallDirs)

# The library is made of the objects of the rooms, as the programs are. Builds with sanitizers or
# with planted bugs have no library, since nobody installs them.
if(DATABRIDGE_SANITIZE OR DATABRIDGE_CANARIES)
  return()
endif()

# While the first number of the version is 0, the interface may change with the second one. So the
# name of the library has both.
set(soversion ${PROJECT_VERSION_MAJOR})
if(PROJECT_VERSION_MAJOR EQUAL 0)
  set(soversion 0.${PROJECT_VERSION_MINOR})
endif()

set(exports ${CMAKE_SOURCE_DIR}/cmake/exports.map)
add_library(databridge_shared SHARED ${exports})
set_target_properties(databridge_shared PROPERTIES
  OUTPUT_NAME databridge
  LINKER_LANGUAGE CXX
  VERSION ${PROJECT_VERSION}
  SOVERSION ${soversion}
  LINK_DEPENDS ${exports})
# The whole room lib, and of the other rooms what it needs.
target_link_libraries(databridge_shared PRIVATE "$<LINK_LIBRARY:WHOLE_ARCHIVE,db_lib>")
target_link_options(databridge_shared PRIVATE
  -Wl,--version-script=${exports} -Wl,--no-undefined -Wl,--gc-sections)

install(TARGETS databridge databridgectl databridge_shared)
install(DIRECTORY include/databridge TYPE INCLUDE FILES_MATCHING PATTERN "*.h")

# These files find the rest by their own place, so the installed tree may be moved.
include(CMakePackageConfigHelpers)
set(package ${CMAKE_BINARY_DIR}/package)
configure_package_config_file(cmake/databridge-config.cmake.in ${package}/databridge-config.cmake
  INSTALL_DESTINATION ${CMAKE_INSTALL_LIBDIR}/cmake/databridge
  PATH_VARS CMAKE_INSTALL_INCLUDEDIR CMAKE_INSTALL_LIBDIR)
write_basic_package_version_file(${package}/databridge-config-version.cmake
  COMPATIBILITY SameMinorVersion)
install(FILES ${package}/databridge-config.cmake ${package}/databridge-config-version.cmake
  DESTINATION ${CMAKE_INSTALL_LIBDIR}/cmake/databridge)
file(RELATIVE_PATH up_to_prefix "/${CMAKE_INSTALL_LIBDIR}/pkgconfig" "/")
configure_file(cmake/databridge.pc.in ${package}/databridge.pc @ONLY)
install(FILES ${package}/databridge.pc DESTINATION ${CMAKE_INSTALL_LIBDIR}/pkgconfig)
