#!/bin/sh
# mpirun, with the permissions that Open MPI asks for where it is to run examples/mpi (tried: 4.1.4).
#
#   scripts/mpirun.sh -n RANKS PROGRAM [ARGUMENT...]
#
# It refuses to run as root, which in a container is often the only user, and refuses more ranks than cores, where the
# example means to show that their number does not matter. Other MPIs get their arguments as they are.
set -eu

if [ "$(id -u)" = 0 ]; then
    export OMPI_ALLOW_RUN_AS_ROOT=1 OMPI_ALLOW_RUN_AS_ROOT_CONFIRM=1
fi
case $(mpirun --version) in
    *'Open MPI'*) exec mpirun --oversubscribe "$@" ;;
    *) exec mpirun "$@" ;;
esac
