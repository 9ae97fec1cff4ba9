#!/bin/bash
# A real API server and the controllers beside it: kube-apiserver and kube-controller-manager as Debian 12's source package kubernetes (1.20)
# has them, built with Debian's Go. No release of Debian ships the programs themselves, and newer ones not even their source.
#
#   programs.sh FOLDER    makes FOLDER/kube-apiserver and FOLDER/kube-controller-manager when they are not there; some ten minutes
set -euo pipefail

readonly PROGRAMS="kube-apiserver kube-controller-manager"
readonly VERSION=1.20.2 SUITE=bookworm

die()
{
	echo "programs.sh: $*" >&2
	exit 1
}

[ $# = 1 ] || die "usage: programs.sh FOLDER"
mkdir -p "$1"
cd "$1"
missing=()
for program in $PROGRAMS; do
	[ -x "$program" ] || missing+=("./cmd/$program")
done
[ ${#missing[@]} -gt 0 ] || exit 0

# With lists of its own: what apt knows on this machine stays as it is. It checks the archive's signature.
fetch_source()
{
	local uri options
	# shellcheck disable=SC2016 # apt's own variables
	uri=$(apt-get indextargets --format '$(REPO_URI) $(ORIGIN) $(CODENAME)' 'Created-By: Packages' |
		awk -v codename=$SUITE '$2 == "Debian" && $3 == codename { print $1; exit }')
	[ -n "$uri" ] || die "apt knows no mirror of Debian's $SUITE here"
	mkdir -p apt/lists/partial
	echo "deb-src $uri $SUITE main" >apt/sources.list
	options=(-o "Dir::Etc::SourceList=$PWD/apt/sources.list" -o Dir::Etc::SourceParts=/dev/null -o "Dir::State::Lists=$PWD/apt/lists" -qq)
	apt-get "${options[@]}" update
	apt-get "${options[@]}" source --download-only --only-source "kubernetes" >apt/log 2>&1 || die "$(tail -n 3 apt/log)"
}

# Its dependencies lie in it, and its staging area wants to be found by the old way of Go.
place=gopath/src/k8s.io/kubernetes
if [ ! -d $place ]; then
	fetch_source
	mkdir -p $place.new
	tar -xzf kubernetes_*.orig.tar.gz --strip-components 1 -C $place.new
	mv $place.new $place
fi
out=$PWD
GOPATH=$PWD/gopath
GOCACHE=$PWD/cache
export GOPATH GOCACHE GO111MODULE=off CGO_ENABLED=0
unset GOFLAGS
cd $place

# The one generated file that does not come with the source (build/root/Makefile.generated_files, "OpenAPI generation").
generate_openapi()
{
	local folders
	# shellcheck disable=SC2046 # folders without blanks
	folders=$(grep -rl --include='*.go' '^// *+k8s:openapi-gen=' pkg cmd $(printf 'vendor/k8s.io/%s/ ' $(ls staging/src/k8s.io)) |
		grep -vE '^vendor/k8s.io/(code-generator|sample-apiserver)/' | xargs -n 1 dirname | sort -u | sed 's|^|k8s.io/kubernetes/|' |
		paste -s -d ,)
	go run ./vendor/k8s.io/kube-openapi/cmd/openapi-gen --go-header-file hack/boilerplate/boilerplate.generatego.txt \
		--output-base "$GOPATH/src" --output-package k8s.io/kubernetes/pkg/generated/openapi --output-file-base zz_generated.openapi \
		--input-dirs "$folders" --report-filename /dev/null
}

make_programs()
{
	local named=k8s.io/component-base/version
	generate_openapi &&
		go build -trimpath -ldflags "-X $named.gitVersion=v$VERSION -X $named.gitMajor=${VERSION%%.*} -X $named.gitMinor=20" -o "$out/" \
			"${missing[@]}"
}

echo "building kube-apiserver and kube-controller-manager $VERSION: some ten minutes, once" >&2
make_programs >"$out/build.log" 2>&1 || die "$(tail -n 5 "$out/build.log")"
cd "$out"
rm -rf apt gopath cache kubernetes_*
