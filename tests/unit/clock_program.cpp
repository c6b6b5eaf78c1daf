/* SPDX-License-Identifier: BSD-2-Clause */
#include "clock_program.c"
