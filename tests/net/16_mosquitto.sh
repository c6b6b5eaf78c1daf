#!/bin/bash
# SPDX-License-Identifier: BSD-2-Clause
# needs: mosquitto mosquitto_pub mosquitto_sub
# mosquitto: 200 messages with QoS 1 to two subscribers, in order and unchanged, and one retained message of 1 MB.
. "$(dirname "$0")/lib.sh"
setup
cat >"$LT_WORK/mosquitto.conf" <<END
listener 1883 $SERVER
allow_anonymous true
persistence false
max_queued_messages 10000
max_inflight_messages 0
log_dest stderr
log_type all
END
start broker server mosquitto -c "$LT_WORK/mosquitto.conf"
wait_port server tcp 1883
blob "$LT_WORK/file" 1000000
for i in $(seq 200); do head -c $((i * 3)) "$LT_WORK/file" | sha256sum | cut -d' ' -f1; done >"$LT_WORK/messages"
offload_begin
for i in 1 2; do
    start "subscriber.$i" client mosquitto_sub -h $SERVER -q 1 -t 'plant/+' -C 200 -i "sub$i"
    subscriber[i]=$STARTED
done
for i in 1 2; do wait_for 10 "subscription $i" has_line "$LT_WORK/broker.err" "SUBACK to sub$i"; done
run client mosquitto_pub -h $SERVER -q 1 -t plant/a -l <"$LT_WORK/messages"
for i in 1 2; do
    finish "${subscriber[i]}" 15
    grep -xE '[0-9a-f]{64}' "$LT_WORK/subscriber.$i.out" >"$LT_WORK/received.$i"
    assert_same "$LT_WORK/messages" "$LT_WORK/received.$i"
done
run client mosquitto_pub -h $SERVER -q 1 -r -t big -f "$LT_WORK/file"
run client mosquitto_sub -h $SERVER -q 1 -t big -C 1 -N >"$LT_WORK/big"
assert_same "$LT_WORK/file" "$LT_WORK/big"
offload_end 2000000
