#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
#
# The kill loop of tests/cli/download_kills.sh, at length.
KILLS=${KILLS:-60} exec tests/cli/download_kills.sh
