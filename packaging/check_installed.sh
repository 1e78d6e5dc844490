#!/bin/bash
# Inside of a fresh Debian 12 without a network: installs the bundle, tries it, removes it. Run by script/check-package.
set -euo pipefail

fail() { echo "check_installed: $1" >&2; exit 1; }
is() { # what, found, wanted
    [ "$2" = "$3" ] || fail "$1: $2, not $3"
}
# Loopback is down in a network of its own; there is no ip(8) here.
perl -e 'use Socket; socket(S, PF_INET, SOCK_DGRAM, 0) or die; my $up = pack("a16s", "lo", 0x41); ioctl(S, 0x8914, $up) or die "lo: $!"'
[ -c /dev/urandom ] || fail 'no /dev/urandom'

ask() { # path, token, file of a body: status line and body
    exec 3<> /dev/tcp/127.0.0.1/"$port" || return 1
    printf '%s %s HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n%s%s\r\n' "$([ -n "${3-}" ] && echo POST || echo GET)" "$1" \
        "${2:+Authorization: Bearer $2$'\r\n'}" "${3:+Content-Length: $(stat -c %s "$3")$'\r\n'}" >&3
    [ -z "${3-}" ] || cat "$3" >&3
    cat <&3
    exec 3<&- 3>&-
}

cd /pefomed-*
sh install.sh > /tmp/install.log 2>&1 || { cat /tmp/install.log; fail 'install.sh failed'; }
is 'a second time' "$(sh install.sh > /tmp/again.log 2>&1 && echo done)" 'done'
is 'packages that are not whole' "$(dpkg --audit)" ''
is 'files that are not as packed' "$(dpkg --verify pefomed)" ''
is 'the token' "$(stat -c '%U:%G %a %s' /etc/pefomed/token)" 'root:pefomed 640 49'
token=$(cat /etc/pefomed/token)
is 'the folder' "$(stat -c '%U:%G %a' /var/lib/pefomed)" 'pefomed:pefomed 750'
is 'the settings are kept by dpkg' "$(dpkg-query -W -f '${Conffiles}' pefomed | awk '{print $1}')" '/etc/pefomed/serve.env'
is 'nobody logs in as the user' "$(getent passwd pefomed | cut -d: -f7)" '/usr/sbin/nologin'
pefomed --version
export PEFOMED_HOME=/var/lib/pefomed
pefomed fetch --list > /tmp/list

if [ "$1" != --without-weights ]; then
    grep -q 'here: /var/lib/pefomed/weights/smollm2' /tmp/list || fail 'fetch does not find the weights'
    # The unit's own command, as its user, with the settings that were installed but for the run.
    command=$(sed -n 's/^ExecStart=//p' /lib/systemd/system/pefomed.service)
    options=$(sed -n 's/^PEFOMED_OPTIONS=//p' /etc/pefomed/serve.env)
    command=${command//'${PEFOMED_RUN}'//usr/share/pefomed/recipes/slake.yaml}
    command=${command//'$PEFOMED_OPTIONS'/$options}
    cd /var/lib/pefomed
    # shellcheck disable=SC2086 # words are wanted
    setpriv --reuid pefomed --regid pefomed --clear-groups --no-new-privs --bounding-set=-all $command > /tmp/address 2> /tmp/serve.err &
    server=$! port=8080
    for _ in $(seq 300); do
        ask /health '' 2> /dev/null | grep -q '"ok"' && break
        kill -0 $server 2> /dev/null || { cat /tmp/serve.err; fail 'serve ended'; }
        sleep 0.2
    done
    is 'its address' "$(cat /tmp/address)" 'http://127.0.0.1:8080/'
    ask /v1/models '' | head -n 1 | grep -q ' 401 ' || fail 'it answers without the token'
    ask /v1/models "$token" | grep -q '"slake"' || fail 'it does not answer with the token'
    printf '{"model":"slake","max_tokens":3,"messages":[{"role":"user","content":[{"type":"text","text":"Which organ is this?"},{"type":"image_url","image_url":{"url":"data:image/jpeg;base64,%s"}}]}]}' \
        "$(base64 -w 0 /picture.jpg)" > /tmp/body
    ask /v1/chat/completions "$token" /tmp/body | grep -q '"Not for clinical use."' || fail 'it does not answer a question'
    is 'the record' "$(stat -c '%U %a' /var/lib/pefomed/answers.jsonl)" 'pefomed 600'
    kill -TERM $server
    wait $server || fail "it did not end well: $?"
    pefomed audit /var/lib/pefomed/answers.jsonl | tee /dev/stderr | grep -q ': 1 entry, 1 of them answers' || fail 'the answer is not in the record'
fi

dpkg --remove pefomed > /dev/null 2>&1
[ ! -e /usr/bin/pefomed ] || fail 'removed, and the program is there'
[ -e /etc/pefomed/token ] || fail 'removed, not purged, and the token is gone'
dpkg --purge pefomed > /dev/null 2>&1
[ ! -e /etc/pefomed ] || fail "purged, and there is $(ls /etc/pefomed)"
[ -d /var/lib/pefomed ] || fail 'purged, and runs and records are gone'
left=$(find / -xdev -name '*pefomed*' -not -path '/proc/*' -not -path '/pefomed-*' -not -path '/var/lib/pefomed*' -not -path '/var/log/*')
is 'purged, and left' "$left" ''
