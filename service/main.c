/* SPDX-License-Identifier: BSD-2-Clause */
/* lockstep-netd: the privileged part of the accelerated path. */
#include "service/netd.h"

int main(int argc, char **argv)
{
    return netd_main(argc, argv);
}
