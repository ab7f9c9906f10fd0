#!/bin/sh
# The guest's process 1: makes the system ready, runs the command, reports its status, powers off.
#
# The command's streams and its status go to three virtio ports of the host. Nothing else writes to the
# first two. The status port carries one line: "status N", or "broken WHY" when the set-up failed.
# The command writes into FIFOs, not into the ports: it must not see a terminal, and may reopen
# /dev/stdout.

export PATH=/bin:/sbin:/usr/bin:/usr/sbin HOME=/root TERM=dumb LANG=C.UTF-8

broken() {
	echo "broken $*" >/dev/kmsg
	[ -c "$status_port" ] && echo "broken $*" >"$status_port"
	poweroff -f
}

mkdir -p /proc /sys /dev /run /tmp /mnt /var
mount -t proc proc /proc
mount -t sysfs sysfs /sys
mount -t securityfs security /sys/kernel/security
mount -t devtmpfs dev /dev
mkdir -p /dev/pts /dev/shm
mount -t devpts -o mode=620,ptmxmode=666 devpts /dev/pts
mount -t tmpfs -o mode=1777 tmpfs /dev/shm
mount -t tmpfs -o mode=755 tmpfs /run
mount -t tmpfs -o mode=1777 tmpfs /tmp
ln -s /proc/self/fd /dev/fd
ln -s fd/0 /dev/stdin
ln -s fd/1 /dev/stdout
ln -s fd/2 /dev/stderr
ln -s /proc/self/mounts /etc/mtab
ip link set lo up
hostname -F /etc/hostname

while read -r module options; do
	# Each option is a word.
	insmod "$module" $options || broken "cannot load $module"
done </etc/bench/modules

# The ports and the nodes appear when the kernel has talked to the host.
wait_for() {
	tries=0
	until [ -c "$1" ]; do
		tries=$((tries + 1))
		[ "$tries" -gt 6000 ] && broken "$1 did not appear"
		usleep 10000
	done
}
wait_for /dev/vport0p3
status_port=/dev/vport0p3
wait_for /dev/vport0p1
wait_for /dev/vport0p2
while read -r node; do
	wait_for "$node"
done </etc/bench/nodes
chmod 666 /dev/fuse

# What udev does elsewhere. The kernel hears of the ports one by one, and of their names after that.
mkdir /dev/virtio-ports
while read -r port name; do
	wait_for "$port"
	ln -s "$port" "/dev/virtio-ports/$name"
done </etc/bench/ports

mkdir /run/bench
mkfifo /run/bench/out /run/bench/err
cat /run/bench/out >/dev/vport0p1 &
out=$!
cat /run/bench/err >/dev/vport0p2 &
err=$!

cd /root || broken "no /root"
setsid sh -c "$(cat /etc/bench/command)" </dev/null >/run/bench/out 2>/run/bench/err
status=$?

# What the command left behind may still hold the FIFOs open.
kill_rest() {
	for dir in /proc/[0-9]*; do
		case ${dir#/proc/} in
		1 | "$out" | "$err") ;;
		*) kill -KILL "${dir#/proc/}" ;;
		esac
	done 2>/dev/null
}
tries=0
while [ -d "/proc/$out" ] || [ -d "/proc/$err" ]; do
	kill_rest
	usleep 2000
	tries=$((tries + 1))
	[ "$tries" -gt 15000 ] && broken "a process that the command left behind cannot be killed"
done

echo "status $status" >"$status_port"
# The host ends the machine now; if it does not, this does.
sleep 5
poweroff -f
