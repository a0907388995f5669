# Pools of every kind are taken; translated connections reach a server and come back, without ethtool; nothing is left.
veth_pair
second_pair
mkdir -p /tmp/www
echo served >/tmp/www/index.html
ip netns exec xpsv httpd -f -p 8080 -h /tmp/www &
server=$!
fetch() { ip netns exec xpvm timeout 5 wget -q -O - "http://$1/"; }

cat >/tmp/route.xdp <<POLICY
pool web via nat {
  10.8.0.2:8080
}
pool full via fullnat from 10.8.0.1, fd00:8::1 {
  10.8.0.2:8080
}
pool wrapped via ipip from 172.16.0.0/16 {
  10.8.0.2
  fd00:8::2
}
pool gue via gue port 9886 {
  10.8.0.2
}
pool near via l2 {
  10.8.0.2
  hash src
}
pool moved via nat {
  10.8.0.2:4433 id 1
  hash quic
}
pool tunnelled via gue {
  10.8.0.2 id 1
  fd00:8::2 id 4000000000
  hash quic
}
decap when ip proto 4
route web when dst host 10.7.0.1 and tcp dst port 80
route full when dst host 10.7.0.2 and tcp dst port 80
route wrapped when dst host 10.7.0.3
route gue when dst host 10.7.0.4
route near when dst host 10.7.0.5
route moved when dst host 10.7.0.6 and udp
route tunnelled when dst host 10.7.0.7
POLICY
refused 'net.ipv6.conf.xv0.forwarding=1' xdpilot load /tmp/route.xdp --on xv0
for family in 4 6; do echo 1 >/proc/sys/net/ipv$family/conf/all/forwarding; done
says 'xdpilot_return' xdpilot load /tmp/route.xdp --on xv0
for _ in 1 2 3; do [ "$(fetch 10.7.0.1)" = served ]; done
[ "$(fetch 10.7.0.2)" = served ]
says '10.8.0.2:8080 +1 +up +[0-9]+ +3 ' xdpilot pool show web
says 'drains' xdpilot pool drain web 10.8.0.2:8080
fails fetch 10.7.0.1
says 'takes connections' xdpilot pool add web 10.8.0.2:8080
[ "$(fetch 10.7.0.1)" = served ]
says 'replaced' xdpilot load /tmp/route.xdp --on xv0 --replace
[ "$(fetch 10.7.0.1)" = served ]
xdpilot unload --on xv0
for interface in xv0 xs0; do mode_is "$interface" none; done

for family in 4 6; do echo 0 >/proc/sys/net/ipv$family/conf/all/forwarding; done
kill "$server"
wait "$server" || true
second_gone
veth_gone
