#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
#
# The kill loop of tests/cli/check_remove.sh, at length.
KILLS=${KILLS:-300} exec tests/cli/check_remove.sh
