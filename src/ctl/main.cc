#include "ctl/commands.h"

int main(int argc, char** argv) { return databridge::ctl::run(argc, argv); }
