#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
#
# tests/cli/check_large.sh at length.
LINES=${LINES:-300000} KILLS=${KILLS:-50} exec tests/cli/check_large.sh
