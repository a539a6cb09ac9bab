#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
#
# The kill loop of tests/cli/build_broken_runs.sh, at length.
KILLS=${KILLS:-500} exec tests/cli/build_broken_runs.sh
