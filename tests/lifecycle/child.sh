#!/bin/sh
# A server over stdio as small as can be: `child.sh PIDS [stubborn]` adds its process id to PIDS and answers every request
# numbered 1. A stubborn one takes neither the end of its input nor a signal for a reason to end.
[ "$2" = stubborn ] && trap '' TERM HUP INT
echo $$ >> "$1"
while read -r line; do
    case $line in
    *'"id":1'*) echo '{"jsonrpc":"2.0","id":1,"result":{"protocolVersion":"2025-11-25","capabilities":{"tools":{}},"serverInfo":{"name":"child","version":"1"},"tools":[]}}' ;;
    esac
done
[ "$2" = stubborn ] && while :; do sleep 1; done
