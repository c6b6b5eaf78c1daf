/* SPDX-License-Identifier: BSD-2-Clause */
/* What every unit test includes: cmocka and the headers it wants before itself. */
#ifndef LOCKSTEP_TESTS_UNIT_H
#define LOCKSTEP_TESTS_UNIT_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#endif
