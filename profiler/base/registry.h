/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Self-registration: a module puts a pointer to its descriptor into a link section, the core walks
 * the section. Adding a module edits no list. `used, retain` keeps the pointer through LTO and
 * --gc-sections; objects must be linked directly (out of a static library the section stays empty).
 *
 *	REGISTER(suites, struct suite, clock_suite);            // in the module
 *	REGISTRY(suites, struct suite);                         // once per file that walks it
 *	registry_for_each(suites, s) run(*s);                   // s is struct suite *const *
 *
 * Order is link order: sort by name where it matters.
 */
#pragma once

#define REGISTER(section_, type, object)                                                           \
	static type *const object##_registered                                                     \
		__attribute__((used, retain, section("bq_" #section_))) = &(object)

#define REGISTRY(section_, type)                                                                   \
	extern type *const __start_bq_##section_[] __attribute__((weak));                          \
	extern type *const __stop_bq_##section_[] __attribute__((weak))

#define registry_for_each(section_, it)                                                            \
	for (__auto_type it = &__start_bq_##section_[0]; it < &__stop_bq_##section_[0]; it++)

#define registry_len(section_) ((size_t)(&__stop_bq_##section_[0] - &__start_bq_##section_[0]))
