//! Tensor names that changed over the years, as a table of rules, and buffers that are not weights.

/// Suffixes of the VAE's attention before diffusers 0.18, as the files of SD 1.x on the Hub still have them.
const RENAMED: [(&str, &str); 8] = [
    (".query.weight", ".to_q.weight"),
    (".query.bias", ".to_q.bias"),
    (".key.weight", ".to_k.weight"),
    (".key.bias", ".to_k.bias"),
    (".value.weight", ".to_v.weight"),
    (".value.bias", ".to_v.bias"),
    (".proj_attn.weight", ".to_out.0.weight"),
    (".proj_attn.bias", ".to_out.0.bias"),
];

/// The current name of a tensor.
pub fn current(name: &str) -> String {
    RENAMED
        .iter()
        .find_map(|(old, new)| name.strip_suffix(old).map(|stem| format!("{stem}{new}")))
        .unwrap_or_else(|| name.to_string())
}

/// Whether a tensor is a constant buffer that old exports saved along with the weights.
pub fn is_buffer(name: &str) -> bool {
    name.ends_with("embeddings.position_ids")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn old_attention_names_become_current_ones() {
        let stem = "encoder.mid_block.attentions.0";
        assert_eq!(current(&format!("{stem}.query.weight")), format!("{stem}.to_q.weight"));
        assert_eq!(current(&format!("{stem}.proj_attn.bias")), format!("{stem}.to_out.0.bias"));
        assert_eq!(current(&format!("{stem}.to_k.weight")), format!("{stem}.to_k.weight"));
        assert_eq!(current("conv_in.weight"), "conv_in.weight");
    }
}
