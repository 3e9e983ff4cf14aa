#!/bin/sh
# A shared server, `slow.sh SEEN GO`: notes the methods of what it gets in SEEN, and answers nothing before there is a file GO.
while read -r line; do
    case $line in
    *'"method":"initialize"'*)
        echo initialize >> "$1"
        while ! [ -e "$2" ]; do sleep 0.1; done
        id=$(printf '%s' "$line" | sed 's/.*"id":\([0-9]*\).*/\1/')
        echo '{"jsonrpc":"2.0","id":'"$id"',"result":{"protocolVersion":"2025-11-25","capabilities":{"tools":{}},"serverInfo":{"name":"slow","version":"1"}}}'
        ;;
    esac
done
