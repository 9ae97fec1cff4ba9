#!/bin/bash
# An evaluator of CEL, the language of admission policies, into FOLDER/cel-js (tests/ops/evaluate.mjs uses it). Debian has none.
#
# usage: cel.sh FOLDER
exec "$(dirname "$0")/../support/npm_package.sh" @marcbachmann/cel-js@8.0.0 \
	sha512-oaTrAziGr3zDLFiMt/yLU3nZuRMawyWQB5X1a0I7s9eGy3JYzX9l8ZXXHyMd64nzbeVFZTewuUShwsZQdK6UCA== "$1/cel-js"
