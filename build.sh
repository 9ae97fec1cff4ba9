#!/bin/bash
# The front door. Works on a fresh Debian 12: installs what is missing, then builds, tests or shows.
#
#   ./build.sh            build into build/
#   ./build.sh test       every test, under sanitizers, with both compilers; ends with "N passed, N failed"; with --all every fault too
#   ./build.sh demo       the main job end to end on real parts (--keep leaves it up)
#   ./build.sh bench      the benchmarks (scale, proxy, restore, engines, page, verdicts; azure: Azurite and azcopy), also written to build/bench/
#   ./build.sh faults     a fault at every request of the operator, one by one (20 minutes), or: faults TEXT for those that name it; also
#                         written to build/bench/faults.json
#   ./build.sh cluster    a life under a real API server and its controllers, built from Debian's source (ten minutes, once)
#   ./build.sh fuzz       the fuzz targets for 10 s each, or: fuzz TARGET|all [SECONDS]; what they find goes to build/fuzz/TARGET/, the
#                         figures of this run to build/bench/fuzz.json
#   ./build.sh image      the container image, as an OCI layout in build/image, and its bill of materials (SPDX) beside it
#   ./build.sh manifests  render ops/base into ops/install.yaml, and the alerts into ops/overlays/prometheus
#   ./build.sh manual     write docs/settings.md from what understory --help says
#   ./build.sh lint       static analysis: clang-tidy, cppcheck, gcc -fanalyzer, shellcheck, the include rule, banned functions
#   ./build.sh coverage   lines and branches that the unit tests run through, room by room; with --all also what the end-to-end tests add
#   ./build.sh format     clang-format over the C files that differ from the last commit
#   ./build.sh clean      remove build/
set -euo pipefail
cd "$(dirname "$0")"

BUILD_PACKAGES="gcc clang libclang-rt-14-dev meson ninja-build pkg-config libc6-dev libcurl4-openssl-dev libssl-dev libpq-dev
  libyaml-dev libjansson-dev libmicrohttpd-dev libgnutls28-dev libcmocka-dev"
# Real parts for the tests, the demo and the benchmarks: PostgreSQL, restic, an S3 server with STS, the sandbox of the stub's node.
RUN_PACKAGES="postgresql-15 restic rclone pgbackrest radosgw ceph-mon ceph-osd ceph-common bubblewrap busybox-static python3 python3-jsonschema
  python3-yaml jq shellcheck groff-base openssl curl procps util-linux prometheus chromium chromium-driver python3-selenium faketime"
# The container image: its CA certificates, strip, and what the test of it copies it with.
IMAGE_PACKAGES="ca-certificates binutils skopeo bubblewrap"

say() { printf '%s\n' "$*" >&2; }

# Install those of the given packages that are not there. Asks nothing; starts no service.
need() {
	local missing=() package
	for package in "$@"; do
		dpkg-query -W -f '${Status}' "$package" 2>/dev/null | grep -q '^install ok installed' || missing+=("$package")
	done
	[ ${#missing[@]} -eq 0 ] && return 0
	local sudo=()
	if [ "$(id -u)" != 0 ]; then
		command -v sudo >/dev/null || { say "missing packages: ${missing[*]}; install them as root"; exit 1; }
		sudo=(sudo -n)
	fi
	say "installing: ${missing[*]}"
	# Server packages must not start their services here: the tests bring up their own, on their own ports.
	local policy=/usr/sbin/policy-rc.d made_policy=
	if [ ! -e $policy ]; then
		made_policy=1
		printf '#!/bin/sh\nexit 101\n' | "${sudo[@]}" tee $policy >/dev/null
		"${sudo[@]}" chmod 755 $policy
	fi
	local rc=0 log
	log=$(mktemp)
	{ "${sudo[@]}" apt-get -qq update &&
		"${sudo[@]}" env DEBIAN_FRONTEND=noninteractive apt-get -qq install -y --no-install-recommends "${missing[@]}"; } \
		>"$log" 2>&1 </dev/null || rc=$?
	[ -z "$made_policy" ] || "${sudo[@]}" rm -f $policy
	[ $rc = 0 ] || tail -n 30 "$log" >&2
	rm -f "$log"
	return $rc
}

# Another package than Debian's may have brought a kubectl, and then Debian's cannot be installed beside it.
need_kubectl() { command -v kubectl >/dev/null || need kubernetes-client; }
# And so it is with npm and node.
need_npm() { command -v npm >/dev/null || need npm nodejs; }

# configure DIR CC OPTION...: a Meson build folder, made once.
configure() {
	local dir=$1 cc=$2
	shift 2
	[ -f "$dir/build.ninja" ] || CC=$cc meson setup "$dir" "$@" >"$(mktemp -t understory-meson.XXXXXX)" ||
		{ say "meson setup $dir failed"; return 1; }
}

# compile DIR TARGET...: all of it without a target.
compile() { ninja -C "$@" >"$1/ninja.log" 2>&1 || { cat "$1/ninja.log" >&2; return 1; }; }

build() {
	# shellcheck disable=SC2086
	need $BUILD_PACKAGES
	configure build gcc
	compile build
}

# The environment of the machine must not decide what a test trusts or connects to.
clean_environment() {
	unset AWS_CA_BUNDLE CURL_CA_BUNDLE SSL_CERT_FILE SSL_CERT_DIR REQUESTS_CA_BUNDLE KUBECONFIG http_proxy https_proxy HTTP_PROXY \
		HTTPS_PROXY ALL_PROXY no_proxy NO_PROXY
	export ASAN_OPTIONS=detect_leaks=1:abort_on_error=0 UBSAN_OPTIONS=halt_on_error=1:print_stacktrace=1 LC_ALL=C.UTF-8
}

# suite DIR MESON-TEST-ARGUMENT...: run tests; their counts are read from the report afterwards. More of them than processors: most of
# their time is waiting.
suite() {
	local dir=$1
	shift
	meson test -C "$dir" --no-rebuild --print-errorlogs --num-processes $((2 * $(nproc))) "$@" || true
}

# The tests, and with --all every fault case beside the sample that is among them.
run_tests() {
	local arguments=() argument figures=()
	for argument in "$@"; do
		if [ "$argument" = --all ]; then figures=(--faults build/bench/faults.json); else arguments+=("$argument"); fi
	done
	set -- "${arguments[@]}"
	# shellcheck disable=SC2086
	need $BUILD_PACKAGES $RUN_PACKAGES $IMAGE_PACKAGES
	need_kubectl
	need_npm
	tests/ops/cel.sh build/npm || true # by the way that this machine has to npm; the test of the admission policy says what is missing
	clean_environment
	build
	configure build/gcc-asan gcc --werror -Db_sanitize=address,undefined
	configure build/clang-asan clang --werror -Db_sanitize=address,undefined
	configure build/gcc-tsan gcc --werror -Db_sanitize=thread
	compile build/gcc-asan
	compile build/clang-asan
	compile build/gcc-tsan build.ninja # what the tests need is asked of it
	# shellcheck disable=SC2046
	compile build/gcc-tsan $(python3 tests/suite_targets.py build/gcc-tsan threads)
	suite build/gcc-asan "$@"
	suite build/clang-asan --no-suite slow "$@"
	suite build/gcc-tsan --suite threads "$@"
	[ ${#figures[@]} = 0 ] || faults || true # what is wrong is counted
	python3 tests/count.py "${figures[@]}" build/gcc-asan build/clang-asan build/gcc-tsan
}

demo() {
	# shellcheck disable=SC2086
	need $BUILD_PACKAGES $RUN_PACKAGES
	clean_environment
	build
	exec fixtures/demo/demo.sh "$@"
}

bench() {
	# shellcheck disable=SC2086
	need $BUILD_PACKAGES $RUN_PACKAGES
	clean_environment
	build
	local name=${1:-scale}
	[ -x "tests/bench/$name.sh" ] || { say "no benchmark \"$name\"; there are: scale, proxy, restore, engines, page, verdicts, azure"; return 1; }
	[ "$name" != proxy ] || need nginx-light haproxy
	[ "$name" != verdicts ] || need mmdebstrap
	case $name in
	verdicts | azure) need_npm ;;
	esac
	[ "$name" != azure ] || need libsecret-1-0 # azcopy does not start without
	mkdir -p build/bench
	"tests/bench/$name.sh"
}

# fuzz_one TARGET SECONDS: inputs that reach new code are kept in build/fuzz/TARGET/corpus, those that fail beside it.
fuzz_one() {
	local target=$1 seconds=$2 out=build/fuzz/$1 program=build/clang-fuzz/tests/fuzz/fuzz_$1 found rc=0
	mkdir -p "$out/corpus"
	local begin=$SECONDS inputs
	# An input that takes longer than 5 s fails too, and so does one that needs 1 GiB (of which the sanitizers hold half).
	"$program" -max_total_time="$seconds" -timeout=5 -rss_limit_mb=1024 -print_final_stats=1 -artifact_prefix="$out/" "$out/corpus" \
		"tests/fuzz/corpus/$target" >"$out/log" 2>&1 </dev/null || rc=$?
	inputs=$(sed -n 's/^stat::number_of_executed_units: *\([0-9]*\).*/\1/p' "$out/log" | tail -n 1)
	printf '%s %s %s %s\n' "$target" "${inputs:-0}" $((SECONDS - begin)) $((rc != 0)) >>build/bench/fuzz.rows
	if [ $rc = 0 ]; then
		say "$target: ${inputs:-0} inputs in $((SECONDS - begin)) s, nothing found"
		return 0
	fi
	grep -a -B 2 -m 1 -A 12 -E '==ERROR|== ERROR|runtime error' "$out/log" >&2 || tail -n 20 "$out/log" >&2
	found=$(sed -n 's/.*Test unit written to //p' "$out/log" | tail -n 1)
	say "$target: failed; see $out/log. To replay it: $program ${found:-$out/corpus tests/fuzz/corpus/$target}"
	return 1
}

# What this run saw, from the lines that it left; nothing of others before it.
fuzz_figures() {
	jq -nR '[inputs / " " | {target: .[0], inputs: (.[1] | tonumber), seconds: (.[2] | tonumber), crashes: (.[3] | tonumber)}]
		| {targets: length, inputs: (map(.inputs) | add), seconds: (map(.seconds) | add), crashes: (map(.crashes) | add), by_target: .}' \
		build/bench/fuzz.rows >build/bench/fuzz.json
	rm -f build/bench/fuzz.rows
	say "$(jq -r '"\(.targets) targets: \(.inputs) inputs in \(.seconds) s, \(.crashes) crashes: build/bench/fuzz.json"' build/bench/fuzz.json)"
}

fuzz() {
	local targets=() target
	for target in tests/fuzz/fuzz_*.c; do
		target=${target#tests/fuzz/fuzz_}
		targets+=("${target%.c}")
	done
	case " ${targets[*]} " in
	*" ${1:-all} "*) targets=("$1") ;;
	*) [ "${1:-all}" = all ] || { say "no fuzz target \"$1\"; there are: ${targets[*]}, all"; return 1; } ;;
	esac
	case "${2:-10}" in
	*[!0-9]* | 0) say "\"$2\" is no number of seconds"; return 1 ;;
	esac
	# shellcheck disable=SC2086
	need $BUILD_PACKAGES jq
	clean_environment
	configure build/clang-fuzz clang --werror -Db_sanitize=address,undefined \
		-Dc_args="-fsanitize=fuzzer-no-link -fno-sanitize-recover=undefined"
	compile build/clang-fuzz fuzzers
	local rc=0
	mkdir -p build/bench
	rm -f build/bench/fuzz.json build/bench/fuzz.rows # of another run
	for target in "${targets[@]}"; do
		fuzz_one "$target" "${2:-10}" || rc=1
	done
	fuzz_figures
	return $rc
}

lint() {
	# shellcheck disable=SC2086
	need $BUILD_PACKAGES clang-tidy-14 cppcheck shellcheck python3
	configure build/lint-clang clang
	# What it does not know: __attribute__((cleanup)), which it takes for leaks and for uses of what was never set.
	configure build/lint-gcc gcc --werror -Dc_args="-fanalyzer -Wno-analyzer-malloc-leak -Wno-analyzer-use-of-uninitialized-value"
	tests/lint.sh build/lint-gcc build/lint-clang
}

image() {
	# shellcheck disable=SC2086
	need $BUILD_PACKAGES $IMAGE_PACKAGES python3
	build
	/usr/bin/python3 ops/image.py . build build/image
}

# show_coverage WHAT FILE: what has been run through so far, room by room; and line by line in FILE.
show_coverage() {
	local room all=build/coverage/all.json
	gcovr --root . --object-directory build/coverage --gcov-ignore-parse-errors --exclude-unreachable-branches --exclude-throw-branches \
		--exclude build/ --filter '(base|k8s|canopy|builders|reconciler)/' --json "$all" >/dev/null 2>&1
	say "$1:"
	for room in base k8s canopy builders reconciler; do
		gcovr --root . --add-tracefile "$all" --filter "$room/" --json-summary "build/coverage/$room.json" >/dev/null 2>&1
		jq -r --arg room "$room" '"\($room)\t lines \(.line_percent) %\tbranches \(.branch_percent) % of \(.branch_total)"' \
			"build/coverage/$room.json" | expand -t 12,28
	done
	gcovr --root . --add-tracefile "$all" --html-details "$2" >/dev/null 2>&1
	say "line by line: $2"
}

# What the unit tests run through, room by room; with --all then also what the end-to-end tests add. Not optimized: the compiler would
# count what it copies into several places there, and take fallible calls out of the reach of torture. An operator that a test kills
# leaves no counts, one that it ends in order does.
coverage() {
	# shellcheck disable=SC2086
	need $BUILD_PACKAGES $RUN_PACKAGES gcovr
	need_kubectl
	clean_environment
	configure build/coverage gcc -Db_coverage=true --buildtype=debug -Dc_args=-fprofile-update=atomic
	compile build/coverage
	find build/coverage -name '*.gcda' -delete
	{
		suite build/coverage --no-suite slow
		suite build/coverage --suite reconciler reconciler/life reconciler/torture_deep
	} >build/coverage/tests.log
	show_coverage "unit tests" build/coverage/index.html
	[ "${1:-}" = --all ] || return 0
	suite build/coverage --suite e2e >>build/coverage/tests.log
	show_coverage "with the end-to-end tests" build/coverage/index-all.html
}

manifests() {
	need_kubectl
	{
		echo '# Rendered from ops/base by ./build.sh manifests; image and settings are yours to set (README.md, "Deploy it").'
		kubectl kustomize ops/base
	} >ops/install.yaml.new
	mv ops/install.yaml.new ops/install.yaml
	/usr/bin/python3 ops/prometheus_rule.py ops/alerts.yaml >ops/overlays/prometheus/rules.yaml
}

# docs/settings.md; the manual pages are made with the programs.
manual() {
	build
	python3 docs/manual.py settings.md build/reconciler/understory build/canopy/proxy/understory-proxy >docs/settings.md.new
	mv docs/settings.md.new docs/settings.md
}

faults() {
	# shellcheck disable=SC2086
	need $BUILD_PACKAGES $RUN_PACKAGES
	clean_environment
	build
	mkdir -p build/bench
	rm -f build/bench/faults.json # of another run
	/usr/bin/python3 tests/fault/faults.py build --all build/bench/faults.json "$@"
}

# Debian's Go makes the programs.
cluster() {
	# shellcheck disable=SC2086
	need $BUILD_PACKAGES $RUN_PACKAGES golang-go etcd-server iproute2
	need_kubectl
	clean_environment
	build
	tests/cluster/cluster.sh build
}

case "${1:-build}" in
build) build ;;
test) shift; run_tests "$@" ;;
demo) shift; demo "$@" ;;
bench) shift; bench "$@" ;;
faults) shift; faults "$@" ;;
cluster) cluster ;;
fuzz) shift; fuzz "$@" ;;
lint) lint ;;
coverage) shift; coverage "$@" ;;
image) image ;;
manifests) manifests ;;
manual) manual ;;
format) git diff --name-only --diff-filter=d HEAD -- '*.c' '*.h' | xargs -r clang-format -i ;;
clean) rm -rf build ;;
*)
	sed -n '2,/^set /{/^#/s/^# \{0,1\}//p}' "$0" >&2
	exit 1
	;;
esac
