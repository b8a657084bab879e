# SPDX-License-Identifier: Apache-2.0
# Short names for the commands that do the work.

.PHONY: help build demo check

help:
	@echo 'make build   build everything (tools/build)'
	@echo 'make demo    build what is missing and run the demonstration (./demo)'
	@echo 'make check   build what is missing and run all tests (./check)'

build:
	tools/build

demo:
	./demo

check:
	./check
