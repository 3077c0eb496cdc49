/* SPDX-License-Identifier: Apache-2.0 */
/* systemd's service notification (sd_notify(3)), spoken directly: a datagram to $NOTIFY_SOCKET.
 * Does nothing elsewhere. */
#pragma once

void notify_ready(void);
void notify_stopping(void);
/* The loop is alive; systemd restarts the service when this stays away (WatchdogSec). */
void notify_watchdog(void);
