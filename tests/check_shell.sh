#!/bin/sh
# Every shell script of the tree, read by shellcheck; speaks TAP. Not builders/scripts and builders/engines: those are parts of scripts, and the whole ones
# are checked where they are run (tests/builders/test_script_engine.sh).
#
# usage: check_shell.sh SOURCE_ROOT
cd "$1" || exit 1
scripts=$(find . -path ./build -prune -o -path ./.git -prune -o -path ./builders/scripts -prune -o -path ./builders/engines -prune -o -name '*.sh' -print | sort)
number=0 bad=0
for script in $scripts ./.ci/run; do
	number=$((number + 1))
	# -x follows what a script sources; style hints (severity info and below) are left to the writer.
	if output=$(shellcheck -x -S warning "$script" 2>&1); then
		echo "ok $number - $script"
	else
		bad=1
		echo "not ok $number - $script"
		echo "$output" | sed 's/^/# /'
	fi
done
number=$((number + 1))
# The check itself must be able to fail.
if printf '#!/bin/sh\nrm -rf $1/*\nif [ $2 == x ]; then :; fi\n' | shellcheck -S warning - >/dev/null 2>&1; then
	bad=1
	echo "not ok $number - a bad script is seen"
else
	echo "ok $number - a bad script is seen"
fi
echo "1..$number"
exit $bad
