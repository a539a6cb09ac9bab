#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
#
# The kill loop of tests/cli/train_saves.sh, at length.
KILLS=${KILLS:-500} exec tests/cli/train_saves.sh
