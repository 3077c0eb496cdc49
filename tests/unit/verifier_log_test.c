// SPDX-License-Identifier: Apache-2.0
#include "profiler/verifier_log.h"

#include <string.h>

#include "tests/unit/test.h"

static void finds_the_reason(void)
{
	char line[64];

	CU_ASSERT(verifier_last_line("libbpf: prog 'x': -- BEGIN PROG LOAD LOG --\n"
				     "0: R1=ctx(off=0,imm=0) R10=fp0\n"
				     "R1 invalid mem access 'scalar'\n"
				     "verification time 31 usec\n"
				     "stack depth 0\n"
				     "processed 2 insns (limit 1000000) max_states_per_insn 0\n"
				     "-- END PROG LOAD LOG --\n",
				     line, sizeof(line)));
	ASSERT_STR(line, "R1 invalid mem access 'scalar'");
}

static void a_cut_log(void)
{
	char line[8] = "before";

	CU_ASSERT(
		verifier_last_line("-- BEGIN PROG LOAD LOG --\nno end of it", line, sizeof(line)));
	ASSERT_STR(line, "no end ");
	CU_ASSERT(verifier_last_line("BEGIN PROG LOAD LOG --\nshort\n\n", line, sizeof(line)));
	ASSERT_STR(line, "short");
}

static void nothing_to_find(void)
{
	char line[8] = "before";

	CU_ASSERT(!verifier_last_line("", line, sizeof(line)));
	CU_ASSERT(!verifier_last_line("libbpf: failed to load object 'profile_bpf'\n", line,
				      sizeof(line)));
	CU_ASSERT(!verifier_last_line("-- BEGIN PROG LOAD LOG --", line, sizeof(line)));
	CU_ASSERT(!verifier_last_line("-- BEGIN PROG LOAD LOG --\n-- END PROG LOAD LOG --\n", line,
				      sizeof(line)));
	CU_ASSERT(!verifier_last_line("-- BEGIN PROG LOAD LOG --\nprocessed 5 insns\n"
				      "-- END PROG LOAD LOG --\n",
				      line, sizeof(line)));
	ASSERT_STR(line, "before");
}

SUITE(verifier_log, {"finds the reason", finds_the_reason}, {"a cut log", a_cut_log},
      {"nothing to find", nothing_to_find});
