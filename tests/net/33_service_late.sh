#!/bin/bash
# SPDX-License-Identifier: BSD-2-Clause
# variants: client/4 server/6
# kernel: no
# Programs that were started before the service run on the kernel, undisturbed, and come to the lane with their next socket.
. "$(dirname "$0")/lib.sh"
setup without-service
for node in server client; do mkdir -p "$(service_dir $node)"; done
steady_server
steady client client client $SERVER 7001 3
client=$STARTED
steady again client again $SERVER 7001 6
again=$STARTED
started client
started again
sleep 0.5
for node in server client; do ! accelerated $node || service_start $node; done
steady_done client "$client" 30
if accelerated client; then
    wait_for 5 "a flow of the client" has_flows client
    offload_begin
    sleep 1.5
    offload_end 300000
fi
steady_done again "$again" 30
