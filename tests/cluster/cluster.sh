#!/bin/bash
# The operator against a real API server and its controllers (life.py), in a network of its own: every address of 10.0.0.0/8 is that
# network's loopback, so that pods and Services have addresses as in a cluster and nobody else reaches them. Speaks TAP; needs root.
#
# usage: cluster.sh BUILD_FOLDER
set -euo pipefail
cd "$(dirname "$0")/../.."
build=$(cd "$1" && pwd)
[ "$(id -u)" = 0 ] || { echo "cluster.sh: root is needed (sudo): it makes a network and runs PostgreSQL as its user" >&2; exit 1; }
tests/cluster/programs.sh "$build/cluster"
# shellcheck disable=SC2016 # for the inner shell
exec unshare --net sh -c 'ip link set lo up && ip route add local 10.0.0.0/8 dev lo && exec /usr/bin/python3 "$@"' sh \
	tests/cluster/life.py "$build"
