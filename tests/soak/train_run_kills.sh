#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
#
# The kill loop of tests/cli/train_broken_runs.sh, at length.
KILLS=${KILLS:-300} exec tests/cli/train_broken_runs.sh
