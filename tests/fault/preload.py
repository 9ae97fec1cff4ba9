"""Libraries that stand before libc in an operator under test."""
import os


def environment(*libraries):
    # A sanitizer wants to be the first of all libraries, but need not be.
    return {"LD_PRELOAD": ":".join(map(str, libraries)),
            "ASAN_OPTIONS": os.environ.get("ASAN_OPTIONS", "") + ":verify_asan_link_order=0"}


def seeded_jitter(build):
    return build / "tests/fault/libseeded_jitter.so"
