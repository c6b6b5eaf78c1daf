# SPDX-License-Identifier: BSD-2-Clause
# shellcheck shell=bash disable=SC2034
# An nginx of four workers that serves files from memory: sourced by scenarios after lib.sh.

nginx_files() {
    NGINX_ROOT=$(mktemp -d /dev/shm/lt.XXXXXX)
    LT_CLEANUP+=("rm -rf $NGINX_ROOT")
    chmod 755 "$NGINX_ROOT"
    blob "$NGINX_ROOT/small" 300000
    blob "$NGINX_ROOT/tiny" 512
}
# "big", 1 GB: holes, and random blocks at places that cross every boundary. Its checksum comes in big.sum (process $BIG_SUM).
nginx_big_file() {
    truncate -s 1000000000 "$NGINX_ROOT/big"
    local offset
    for offset in 0 65535 1048577 333333333 777777777 999900000; do
        dd if=/dev/urandom of="$NGINX_ROOT/big" bs=100000 count=1 oflag=seek_bytes seek=$offset conv=notrunc status=none
    done
    sha256sum <"$NGINX_ROOT/big" >"$NGINX_ROOT/big.sum" &
    BIG_SUM=$!
}
nginx_start() {
    mkdir -p "$LT_WORK/nginx"
    cat >"$LT_WORK/nginx.conf" <<END
worker_processes 4;
daemon off;
pid $LT_WORK/nginx/pid;
error_log $LT_WORK/nginx/error.log warn;
events { worker_connections 1024; }
http {
    access_log off;
    sendfile on;
    client_body_temp_path $LT_WORK/nginx/body;
    proxy_temp_path $LT_WORK/nginx/proxy;
    fastcgi_temp_path $LT_WORK/nginx/fastcgi;
    uwsgi_temp_path $LT_WORK/nginx/uwsgi;
    scgi_temp_path $LT_WORK/nginx/scgi;
    server {
        listen $SERVER_URL:8080;
        root $NGINX_ROOT;
    }
}
END
    start nginx server nginx -c "$LT_WORK/nginx.conf" -e "$LT_WORK/nginx/error.log"
    NGINX=$STARTED
    wait_port server tcp 8080
    sleep 0.3 # until all workers accept
}
