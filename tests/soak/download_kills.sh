#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
#
# mien download killed many times.
KILLS=${KILLS:-60} exec tests/cli/download_kills.sh
