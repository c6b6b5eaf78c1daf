/* SPDX-License-Identifier: BSD-2-Clause */
/* lockstep-clockd: keeps the Lockstep clock. */
#include "clock/clockd.h"

int main(int argc, char **argv)
{
    return clockd_main(argc, argv);
}
