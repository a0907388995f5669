/* iproute2's map definition, by its documentation. */
#include "common.h"
#define PIN_NONE 0
#define PIN_OBJECT 1
#define PIN_GLOBAL 2
struct bpf_elf_map { u32 type, size_key, size_value, max_elem, flags, id, pinning, inner_id; s32 inner_idx; };
