// SPDX-License-Identifier: GPL-2.0
/*
 * uio_dummy - the reference UIO device, made of memory and a timer
 *
 * A platform device and its driver, both made by this module. It needs no
 * hardware: the registers are RAM, so a write traps nowhere and every register
 * has exactly one writer. An hrtimer is the "hardware": at each expiry it reads
 * what the driver wrote and acts on it.
 *
 *   map0 "regs"              writer
 *     0x00 ID                device   0x55444D59
 *     0x04 VERSION           device   1
 *     0x08 FIFO_BYTES        device   size of each FIFO, a power of two
 *     0x0C TICKS             device   timer expiries since ENABLE
 *     0x10 TX_TAIL           device   bytes taken from TX, free-running
 *     0x14 RX_HEAD           device   bytes put into RX, free-running
 *     0x18 RAISED            device   interrupts raised since the device was bound
 *     0x40 CTRL              driver   bit 0 ENABLE, 1 LOOPBACK, 2 TICK_IRQ
 *     0x44 PERIOD_US         driver   50 to 1,000,000, clamped; 0 means 1000
 *     0x48 TX_HEAD           driver   bytes put into TX, free-running
 *     0x4C RX_TAIL           driver   bytes taken from RX, free-running
 *   map1 "fifo"              TX bytes (driver), then RX bytes (device)
 *
 * The line
 *
 *               raise / notify, mask
 *     UNMASKED ----------------------> MASKED   raise: pending++
 *         ^                             |  ^
 *         |  irqcontrol(1), pending==0  |  |    irqcontrol(1), pending>0:
 *         +-----------------------------+  +--- notify all pending, stay masked
 *
 * Each raised event reaches uio_event_notify() once, so the event count that
 * read() returns ends equal to RAISED, and a step of more than one is the number
 * of events that came up while the line was masked.
 *
 * Locking: `lock` (taken with softirqs off, by the timer and by processes) guards
 * the line, `live`, `openers` and `raised`. The FIFO positions belong to the timer alone.
 * open, release and irqcontrol are serialised by the UIO core's info_lock, which
 * the core holds around them and around the end of uio_unregister_device().
 */
#define pr_fmt(fmt) KBUILD_MODNAME ": " fmt

#include <linux/fs.h>
#include <linux/hrtimer.h>
#include <linux/kernel.h>
#include <linux/log2.h>
#include <linux/minmax.h>
#include <linux/mm.h>
#include <linux/module.h>
#include <linux/platform_device.h>
#include <linux/sched.h>
#include <linux/sched/signal.h>
#include <linux/sizes.h>
#include <linux/spinlock.h>
#include <linux/uio_driver.h>
#include <linux/vmalloc.h>

#define DRIVER_NAME		"uio_dummy"
#define DEVICE_VERSION		1

#define REG_ID			0x00
#define REG_VERSION		0x04
#define REG_FIFO_BYTES		0x08
#define REG_TICKS		0x0C
#define REG_TX_TAIL		0x10
#define REG_RX_HEAD		0x14
#define REG_RAISED		0x18
#define REG_CTRL		0x40
#define REG_PERIOD_US		0x44
#define REG_TX_HEAD		0x48
#define REG_RX_TAIL		0x4C

#define ID_VALUE		0x55444D59u

#define CTRL_ENABLE		BIT(0)
#define CTRL_LOOPBACK		BIT(1)
#define CTRL_TICK_IRQ		BIT(2)

#define PERIOD_MIN_US		50u
#define PERIOD_DEFAULT_US	1000u
#define PERIOD_MAX_US		1000000u

/* How many events go out between two offers of the processor. */
#define EVENTS_PER_SLICE	1024u

static unsigned int fifo_bytes = SZ_64K;
module_param(fifo_bytes, uint, 0444);
MODULE_PARM_DESC(fifo_bytes, "bytes per FIFO, rounded up to a power of two in 4096..1048576");

struct uio_dummy {
	struct uio_info info;
	void *regs;			/* vmalloc_user(), one page */
	u8 *tx, *rx;			/* the two halves of map1 */
	u32 fifo_bytes;

	struct hrtimer timer;
	bool was_enabled;		/* the timer's: ENABLE at the last expiry */
	u32 ticks, tx_tail, rx_head;	/* the timer's: what it publishes */

	spinlock_t lock;
	bool live;			/* registered, so events can go out */
	unsigned int openers;
	bool masked;
	u32 pending;			/* raised while masked */
	u32 raised;
};

static u32 *reg(struct uio_dummy *d, unsigned int offset)
{
	return d->regs + offset;
}

/* A register that the driver writes: what it wrote before is visible after. */
static u32 reg_in(struct uio_dummy *d, unsigned int offset)
{
	return smp_load_acquire(reg(d, offset));
}

/* A register that the device writes: what it did before is visible before. */
static void reg_out(struct uio_dummy *d, unsigned int offset, u32 value)
{
	smp_store_release(reg(d, offset), value);
}

/* ---- the line -------------------------------------------------------- */

static void line_raise(struct uio_dummy *d)
{
	spin_lock_bh(&d->lock);
	d->raised++;
	reg_out(d, REG_RAISED, d->raised);
	if (d->masked) {
		d->pending++;
	} else {
		d->masked = true;
		uio_event_notify(&d->info);
	}
	spin_unlock_bh(&d->lock);
}

/* Unmasks, or else takes the events that came up meanwhile and stays masked. */
static u32 line_unmask(struct uio_dummy *d)
{
	u32 pending;

	spin_lock_bh(&d->lock);
	pending = d->pending;
	d->pending = 0;
	d->masked = pending != 0;
	spin_unlock_bh(&d->lock);
	return pending;
}

static void line_mask(struct uio_dummy *d)
{
	spin_lock_bh(&d->lock);
	d->masked = true;
	spin_unlock_bh(&d->lock);
}

/*
 * The core calls this under info_lock, so the device stays registered, nobody
 * else unmasks, and with the line masked nobody else notifies: the events that
 * were taken may go out one by one without the spinlock.
 */
static int dummy_irqcontrol(struct uio_info *info, s32 irq_on)
{
	struct uio_dummy *d = info->priv;
	u32 n, taken;

	if (!irq_on) {
		line_mask(d);
		return 0;
	}
	taken = line_unmask(d);
	for (n = 1; n <= taken; n++) {
		uio_event_notify(info);
		if (n % EVENTS_PER_SLICE == 0)
			cond_resched();
	}
	return 0;
}

/* ---- the hardware: one timer ------------------------------------------ */

/* Copies between two rings of the same power-of-two size. */
static void ring_copy(struct uio_dummy *d, u32 from, u32 to, u32 count)
{
	u32 mask = d->fifo_bytes - 1;

	while (count) {
		u32 src = from & mask, dst = to & mask;
		u32 run = min3(count, d->fifo_bytes - src, d->fifo_bytes - dst);

		memcpy(d->rx + dst, d->tx + src, run);
		from += run;
		to += run;
		count -= run;
	}
}

/* Moves what is in TX to RX as far as RX has room. True if any byte moved. */
static bool loop_back(struct uio_dummy *d)
{
	u32 waiting = reg_in(d, REG_TX_HEAD) - d->tx_tail;
	u32 held = d->rx_head - reg_in(d, REG_RX_TAIL);
	u32 count;

	if (waiting > d->fifo_bytes || held > d->fifo_bytes)
		return false;		/* nonsense from the driver */
	count = min(waiting, d->fifo_bytes - held);
	if (!count)
		return false;

	ring_copy(d, d->tx_tail, d->rx_head, count);
	d->tx_tail += count;
	d->rx_head += count;
	reg_out(d, REG_RX_HEAD, d->rx_head);
	reg_out(d, REG_TX_TAIL, d->tx_tail);
	return true;
}

static void tick(struct uio_dummy *d, u32 ctrl)
{
	bool moved = false;

	if (!d->was_enabled)
		d->ticks = 0;
	d->ticks++;
	reg_out(d, REG_TICKS, d->ticks);
	if (ctrl & CTRL_LOOPBACK)
		moved = loop_back(d);
	if (moved || (ctrl & CTRL_TICK_IRQ))
		line_raise(d);
}

static ktime_t period(struct uio_dummy *d, bool enabled)
{
	u32 us = reg_in(d, REG_PERIOD_US);

	if (!us)
		us = PERIOD_DEFAULT_US;
	us = clamp(us, PERIOD_MIN_US, PERIOD_MAX_US);
	/* Nobody waits a second for ENABLE to be seen. */
	if (!enabled)
		us = min(us, PERIOD_DEFAULT_US);
	return ns_to_ktime((u64)us * NSEC_PER_USEC);
}

static enum hrtimer_restart dummy_timer(struct hrtimer *timer)
{
	struct uio_dummy *d = container_of(timer, struct uio_dummy, timer);
	u32 ctrl = reg_in(d, REG_CTRL);
	bool enabled = ctrl & CTRL_ENABLE;

	if (enabled)
		tick(d, ctrl);
	d->was_enabled = enabled;
	hrtimer_forward_now(timer, period(d, enabled));
	return HRTIMER_RESTART;
}

/* ---- open and release -------------------------------------------------- */

/* Under the lock. */
static void timer_start(struct uio_dummy *d)
{
	d->was_enabled = false;
	hrtimer_start(&d->timer, ns_to_ktime(PERIOD_DEFAULT_US * NSEC_PER_USEC),
		      HRTIMER_MODE_REL_SOFT);
}

static int dummy_open(struct uio_info *info, struct inode *inode)
{
	struct uio_dummy *d = info->priv;

	spin_lock_bh(&d->lock);
	if (d->openers++ == 0) {
		d->masked = true;
		d->pending = 0;
		if (d->live)
			timer_start(d);
	}
	spin_unlock_bh(&d->lock);
	return 0;
}

static int dummy_release(struct uio_info *info, struct inode *inode)
{
	struct uio_dummy *d = info->priv;
	bool last;

	spin_lock_bh(&d->lock);
	last = --d->openers == 0;
	spin_unlock_bh(&d->lock);
	/* No open meanwhile: the core's info_lock is held. */
	if (last)
		hrtimer_cancel(&d->timer);
	return 0;
}

/* ---- sysfs ---------------------------------------------------------------- */

static ssize_t storm_store(struct device *dev, struct device_attribute *attr,
			   const char *buf, size_t count)
{
	struct uio_dummy *d = dev_get_drvdata(dev);
	u32 n, events;
	int err;

	err = kstrtou32(buf, 0, &events);
	if (err)
		return err;
	for (n = 1; n <= events; n++) {
		line_raise(d);
		if (n % EVENTS_PER_SLICE)
			continue;
		cond_resched();
		if (fatal_signal_pending(current))
			return -EINTR;
	}
	return count;
}
static DEVICE_ATTR_WO(storm);

static ssize_t raised_show(struct device *dev, struct device_attribute *attr, char *buf)
{
	struct uio_dummy *d = dev_get_drvdata(dev);

	return sysfs_emit(buf, "%u\n", READ_ONCE(d->raised));
}
static DEVICE_ATTR_RO(raised);

static struct attribute *dummy_attrs[] = {
	&dev_attr_storm.attr,
	&dev_attr_raised.attr,
	NULL
};
ATTRIBUTE_GROUPS(dummy);

/* ---- bind and unbind ------------------------------------------------------- */

/*
 * The node can be opened before uio_register_device() returns, and before events
 * can go out: an open that comes so early leaves the timer to this.
 */
static void dummy_go_live(struct uio_dummy *d)
{
	spin_lock_bh(&d->lock);
	d->live = true;
	if (d->openers)
		timer_start(d);
	spin_unlock_bh(&d->lock);
}

/*
 * The driver core undoes a bind in this order: the attributes (it waits for a
 * storm to end), then what was added here, last first. So: no new start of the
 * timer, no running timer, no UIO device, and only then the memory. Pages that
 * a process still maps live on, each held by the mapping.
 */
static void dummy_unregister(void *data)
{
	struct uio_dummy *d = data;

	spin_lock_bh(&d->lock);
	d->live = false;
	spin_unlock_bh(&d->lock);
	hrtimer_cancel(&d->timer);
	uio_unregister_device(&d->info);
}

static void dummy_vfree(void *data)
{
	vfree(data);
}

static void *map_alloc(struct device *dev, struct uio_mem *mem, const char *name,
		       unsigned long size)
{
	void *memory = vmalloc_user(size);

	if (!memory || devm_add_action_or_reset(dev, dummy_vfree, memory))
		return NULL;
	mem->name = name;
	mem->addr = (phys_addr_t)(uintptr_t)memory;
	mem->size = PAGE_ALIGN(size);
	mem->memtype = UIO_MEM_VIRTUAL;
	return memory;
}

static void dummy_init_registers(struct uio_dummy *d)
{
	reg_out(d, REG_ID, ID_VALUE);
	reg_out(d, REG_VERSION, DEVICE_VERSION);
	reg_out(d, REG_FIFO_BYTES, d->fifo_bytes);
}

static int dummy_probe(struct platform_device *pdev)
{
	struct device *dev = &pdev->dev;
	struct uio_dummy *d;
	int err;

	d = devm_kzalloc(dev, sizeof(*d), GFP_KERNEL);
	if (!d)
		return -ENOMEM;
	d->fifo_bytes = roundup_pow_of_two(clamp_t(u32, fifo_bytes, SZ_4K, SZ_1M));
	d->regs = map_alloc(dev, &d->info.mem[0], "regs", PAGE_SIZE);
	d->tx = map_alloc(dev, &d->info.mem[1], "fifo", 2 * d->fifo_bytes);
	if (!d->regs || !d->tx)
		return -ENOMEM;
	d->rx = d->tx + d->fifo_bytes;
	dummy_init_registers(d);

	spin_lock_init(&d->lock);
	d->masked = true;
	hrtimer_init(&d->timer, CLOCK_MONOTONIC, HRTIMER_MODE_REL_SOFT);
	d->timer.function = dummy_timer;

	d->info.name = DRIVER_NAME;
	d->info.version = __stringify(DEVICE_VERSION);
	d->info.irq = UIO_IRQ_CUSTOM;
	d->info.irqcontrol = dummy_irqcontrol;
	d->info.open = dummy_open;
	d->info.release = dummy_release;
	d->info.priv = d;
	platform_set_drvdata(pdev, d);

	err = uio_register_device(dev, &d->info);
	if (err)
		return dev_err_probe(dev, err, "cannot register the UIO device\n");
	dummy_go_live(d);
	return devm_add_action_or_reset(dev, dummy_unregister, d);
}

static struct platform_driver dummy_driver = {
	.probe = dummy_probe,
	.driver = {
		.name = DRIVER_NAME,
		.dev_groups = dummy_groups,
	},
};

/* ---- module ---------------------------------------------------------------- */

static struct platform_device *dummy_device;

static int __init uio_dummy_init(void)
{
	int err;

	err = platform_driver_register(&dummy_driver);
	if (err)
		return err;
	dummy_device = platform_device_register_simple(DRIVER_NAME, PLATFORM_DEVID_NONE, NULL, 0);
	if (IS_ERR(dummy_device)) {
		platform_driver_unregister(&dummy_driver);
		return PTR_ERR(dummy_device);
	}
	return 0;
}

static void __exit uio_dummy_exit(void)
{
	platform_device_unregister(dummy_device);
	platform_driver_unregister(&dummy_driver);
}

module_init(uio_dummy_init);
module_exit(uio_dummy_exit);

MODULE_DESCRIPTION("Reference UIO device: loop-back FIFOs and a self-masking interrupt, in memory");
MODULE_AUTHOR("the uiod authors");
MODULE_LICENSE("GPL");
MODULE_VERSION(__stringify(DEVICE_VERSION));
