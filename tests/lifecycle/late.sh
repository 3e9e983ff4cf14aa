#!/bin/sh
# A shared server, `late.sh SEEN GO`: adds what it gets to SEEN, and answers `prompts/list` once there is a file GO.
while read -r line; do
    printf '%s\n' "$line" >> "$1"
    id=$(printf '%s' "$line" | sed -n 's/.*"id":\([0-9]*\).*/\1/p')
    case $line in
    *'"method":"initialize"'*) echo '{"jsonrpc":"2.0","id":'"$id"',"result":{"protocolVersion":"2025-11-25","capabilities":{"prompts":{}},"serverInfo":{"name":"late","version":"1"}}}' ;;
    *'"method":"prompts/list"'*)
        while ! [ -e "$2" ]; do sleep 0.1; done && echo '{"jsonrpc":"2.0","id":'"$id"',"result":{"prompts":[]}}' &
        ;;
    esac
done
