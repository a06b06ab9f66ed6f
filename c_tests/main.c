/* The driver of the C harness: runs every test, or with an argument those whose name has it as a part. */

#include "check.h"

int main(int argc, char **argv) {
    return check_run(argc > 1 ? argv[1] : NULL);
}
