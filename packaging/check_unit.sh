#!/bin/bash
# Inside of a fresh Debian 12 whose first process is systemd: installs the package, tries the unit, removes it. Run by script/check-unit.
set -euo pipefail

fail() { echo "check_unit: $1" >&2; exit 1; }
is() { # what, found, wanted
    [ "$2" = "$3" ] || fail "$1: $2, not $3"
}
wait_for_answer() {
    for _ in $(seq 150); do
        [ "$(curl -s http://127.0.0.1:8080/health)" != '{"status":"ok"}' ] || return 0
        sleep 0.2
    done
    systemctl status --no-pager pefomed >&2 || true
    fail 'no answer after 30 seconds'
}

dpkg -i /root/pefomed.deb > /root/dpkg.log 2>&1 || { cat /root/dpkg.log; fail 'dpkg failed'; }
is 'started by its installation' "$(systemctl is-active pefomed || true)" inactive
chown -R pefomed:pefomed /var/lib/pefomed/weights
sed -i 's|^PEFOMED_RUN=.*|PEFOMED_RUN=/usr/share/pefomed/recipes/slake.yaml|' /etc/pefomed/serve.env
systemctl enable --now --quiet pefomed
wait_for_answer

token=$(cat /etc/pefomed/token)
is 'without the token' "$(curl -s -o /dev/null -w '%{http_code}' http://127.0.0.1:8080/v1/models)" 401
ask() { # the answer, of three tokens
    printf '{"model":"slake","max_tokens":3,"messages":[{"role":"user","content":[{"type":"text","text":"Which organ is this?"},{"type":"image_url","image_url":{"url":"data:image/jpeg;base64,%s"}}]}]}' \
        "$(base64 -w 0 /root/picture.jpg)" | curl -s -H "Authorization: Bearer $token" -H 'Content-Type: application/json' --data @- http://127.0.0.1:8080/v1/chat/completions
}
ask | grep -q '"Not for clinical use."' || fail 'it does not answer a question'

# Its user, and nothing that it could do beyond.
pid=$(systemctl show -p MainPID --value pefomed)
is 'its user' "$(stat -c %U /proc/"$pid")" pefomed
is 'what it may do' "$(sed -n 's/^\(CapEff\|CapBnd\|NoNewPrivs\|Seccomp\):\s*/\1 /p' /proc/"$pid"/status | xargs)" \
    'CapEff 0000000000000000 CapBnd 0000000000000000 NoNewPrivs 1 Seccomp 2'

# Where it could write: asked as root, from its own view of the files.
written=$(for folder in / /etc /usr /var /var/lib /var/log /home /root /opt /srv /var/lib/pefomed; do
    ! nsenter -t "$pid" -m touch $folder/.probe 2> /dev/null || { echo $folder; nsenter -t "$pid" -m rm $folder/.probe; }
done)
is 'where it writes' "$written" /var/lib/pefomed

# Whom it reaches: another address of this machine stands for all others, asked from its control group.
ip link set lo up
ip address add 192.0.2.1/32 dev lo
python3 -c 'import socket
with socket.create_server(("", 9999)) as server:
    while True:
        taken, _ = server.accept()
        with taken:
            taken.recv(4096)
            taken.sendall(b"HTTP/1.0 204 No Content\r\n\r\n")' &
server=$!
from_unit() { # address; prints "reached" where it is
    local groups=/sys/fs/cgroup/unified
    [ -d $groups ] || groups=/sys/fs/cgroup
    (
        echo $BASHPID > $groups"$(sed -n 's/^0:://p' /proc/"$pid"/cgroup)"/cgroup.procs
        ! curl -s -m 3 -o /dev/null "http://$1:9999/" || echo reached
    )
}
for _ in $(seq 50); do
    ! curl -s -o /dev/null http://192.0.2.1:9999/ || break
    sleep 0.1
done
curl -s -m 3 -o /dev/null http://192.0.2.1:9999/ || fail 'the check itself does not reach the other address'
is 'loopback' "$(from_unit 127.0.0.1)" reached
is 'another address' "$(from_unit 192.0.2.1)" ''
kill $server

# Killed, it comes back; stopped, it ends well; what it answered is on record.
kill -KILL "$pid"
sleep 1
wait_for_answer
is 'starts after a kill' "$(systemctl show -p NRestarts --value pefomed)" 1
ask > /dev/null
systemctl stop pefomed
is 'how it ended' "$(systemctl show -p Result --value pefomed)" success
pefomed audit /var/lib/pefomed/answers.jsonl | grep -q '2 of them answers' || fail 'the answers are not in the record'

# Upgraded, it goes on with the new program; removed, it is gone.
systemctl start pefomed
wait_for_answer
pid=$(systemctl show -p MainPID --value pefomed)
dpkg -i /root/pefomed.deb > /root/dpkg.log 2>&1 || { cat /root/dpkg.log; fail 'dpkg failed'; }
wait_for_answer
[ "$(systemctl show -p MainPID --value pefomed)" != "$pid" ] || fail 'upgraded, and the old program runs'
dpkg --purge pefomed > /dev/null 2>&1
is 'purged' "$(systemctl is-active pefomed || true)" inactive
[ ! -e /etc/systemd/system/multi-user.target.wants/pefomed.service ] || fail 'purged, and still enabled'
