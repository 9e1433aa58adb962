//! Every block of every network against the reference's activations on the same input.

use super::attention::{AttentionProcessor, KeyValue, PlainProcessor, Qkv, SelfAttention};
use super::bands::Bands;
use super::clip::TextEncoder;
use super::loading::LoadOptions;
use super::stable_diffusion::StableDiffusion;
use super::unet::{Deep, sinusoids};
use super::vae::VaeMidBlock;
use crate::device::{self, Place, Precision};
use crate::golden::{Golden, fixture};
use crate::model::tensors::Ready;
use crate::model::tensors::Tensors;
use crate::platform::silent;
use crate::weights::Origin;
use crate::weights::config::SpecialTokens;
use crate::weights::config::{TextConfig, UnetConfig};
use crate::weights::format::Dtype;
use crate::weights::format::compact::Compact;
use crate::weights::source::local::Folder;
use burn::tensor::Tensor;
use burn::tensor::activation::silu;

/// Relative to the largest value of each activation: f32 rounding through up to a hundred layers.
const TOLERANCE: f32 = 2e-5;

fn model(name: &str) -> Origin {
    Origin::local(&fixture(&format!("models/{name}")), None).expect("a folder")
}

/// f64, so that tests measure the method and not rounding; `Precision::Auto` chooses it for these models too.
fn place() -> Place {
    Place::new(device::cpu(), Precision::F64, 0).expect("the processor computes in f64")
}

/// A golden as the input of a network.
fn input<const D: usize>(golden: &Golden, name: &str) -> burn::tensor::Tensor<D> {
    let (shape, values) = golden.values(name);
    place().tensor(values, shape.try_into().expect("as many dimensions as the network takes"))
}

fn load(name: &str) -> (StableDiffusion, Golden) {
    let (origin, control) = (model(name), silent());
    let loading = StableDiffusion::load(&origin, device::cpu(), LoadOptions::default(), &control);
    let model = pollster::block_on(loading).expect("a whole model");
    (model, Golden::load(&format!("{name}.once")))
}

fn unet_blocks(name: &str) {
    let (model, golden) = load(name);
    let (config, layers) = (&model.unet.config, &model.unet.layers);
    let same = |place: String, x: &burn::tensor::Tensor<4>| golden.assert_close(&format!("unet.{place}"), x, TOLERANCE);
    let context = input::<3>(&golden, "unet.ctx");
    let time = sinusoids(501.0, config, &place());
    golden.assert_close("unet.time_proj", &time, TOLERANCE);
    let time = layers.time_embedding.forward(time);
    golden.assert_close("unet.time_embedding", &time, TOLERANCE);

    let mut x = layers.conv_in.forward(input(&golden, "unet.x"));
    same("conv_in".into(), &x);
    let mut skips = vec![x.clone()];
    for (i, block) in layers.down_blocks.iter().enumerate() {
        for (j, resnet) in block.resnets.iter().enumerate() {
            x = resnet.forward(x, Some(&time));
            same(format!("down_blocks.{i}.resnets.{j}"), &x);
            if let Some(attention) = block.attentions.get(j) {
                if (i, j) == (0, 0) {
                    let place = "unet.down_blocks.0.attentions.0.transformer_blocks.0";
                    let (tokens, inner) = (attention.tokens(x.clone()), &attention.blocks[0]);
                    let normed = inner.norm1.forward(tokens.clone());
                    golden.assert_close(&format!("{place}.norm1"), &normed, TOLERANCE);
                    let attended = inner.attn1.forward(normed, None, None);
                    golden.assert_close(&format!("{place}.attn1"), &attended, TOLERANCE);
                    let tokens = tokens + attended;
                    let attended =
                        inner.attn2.over(inner.norm2.forward(tokens.clone()), inner.attn2.project(&context), None);
                    golden.assert_close(&format!("{place}.attn2"), &attended, TOLERANCE);
                    let forwarded = inner.ff.forward(inner.norm3.forward(tokens.clone() + attended.clone()), None);
                    golden.assert_close(&format!("{place}.ff"), &forwarded, TOLERANCE);
                    let parts = inner.ff.forward_in_parts(inner.norm3.forward(tokens + attended), None, 7);
                    golden.assert_close(&format!("{place}.ff"), &parts, TOLERANCE);
                }
                x = {
                    let context = attention.project(&context);
                    attention.forward(x, &context, None)
                };
                same(format!("down_blocks.{i}.attentions.{j}"), &x);
            }
            skips.push(x.clone());
        }
        if let Some(downsample) = &block.downsample {
            x = downsample.forward(x);
            same(format!("down_blocks.{i}.downsamplers.0"), &x);
            skips.push(x.clone());
        }
        same(format!("down_blocks.{i}"), &x);
    }
    if let Some(block) = &layers.mid_block {
        x = block.resnets[0].forward(x, Some(&time));
        same("mid_block.resnets.0".into(), &x);
        x = {
            let context = block.attentions[0].project(&context);
            block.attentions[0].forward(x, &context, None)
        };
        same("mid_block.attentions.0".into(), &x);
        x = block.resnets[1].forward(x, Some(&time));
        same("mid_block.resnets.1".into(), &x);
        same("mid_block".into(), &x);
    }
    for (i, block) in layers.up_blocks.iter().enumerate() {
        assert_eq!(block.first_layer, i * block.resnets.len(), "number of the first decoder layer of up block {i}");
        for (j, resnet) in block.resnets.iter().enumerate() {
            let skip = skips.pop().expect("as many skips as decoder resnets");
            x = resnet.forward(burn::tensor::Tensor::cat(vec![x, skip], 1), Some(&time));
            same(format!("up_blocks.{i}.resnets.{j}"), &x);
            if let Some(attention) = block.attentions.get(j) {
                x = {
                    let context = attention.project(&context);
                    attention.forward(x, &context, None)
                };
                same(format!("up_blocks.{i}.attentions.{j}"), &x);
            }
        }
        if let Some(upsample) = &block.upsample {
            x = upsample.forward(x, None);
            same(format!("up_blocks.{i}.upsamplers.0"), &x);
        }
        same(format!("up_blocks.{i}"), &x);
    }
    assert!(skips.is_empty());
    x = layers.conv_norm_out.forward(x);
    same("conv_norm_out".into(), &x);
    same("conv_out".into(), &layers.conv_out.forward(silu(x)));
    let context = model.unet.context(&context);
    let latents = input(&golden, "unet.x");
    let call = |latents: &Tensor<4>, deep: Option<&mut Deep>| {
        let (silent, mut plain) = (silent(), PlainProcessor);
        let forward = model.unet.forward(latents.clone(), 501.0, &context, &mut plain, deep, &silent);
        pollster::block_on(forward).expect("nothing cancels")
    };
    same("out".into(), &call(&latents, None));
    // A second call takes over what the first computed, so that other latents change nothing; a third computes anew.
    for live in 1..=layers.up_blocks.len() {
        let (mut deep, others) = (Deep::new(live), latents.clone().neg());
        same("out".into(), &call(&latents, Some(&mut deep)));
        same("out".into(), &call(&others, Some(&mut deep)));
        let difference = (call(&others, Some(&mut deep)) - call(&latents, None)).abs().max().into_scalar::<f32>();
        assert!(difference > 0.1, "{live}: {difference}");
    }
}

#[test]
fn unet_of_1x_block_by_block() {
    unet_blocks("micro15");
}

#[test]
fn distilled_unet_block_by_block() {
    unet_blocks("micro15bk_tiny");
}

#[test]
fn unet_of_2x_block_by_block() {
    unet_blocks("micro21b");
}

/// Attends over other keys and values in a share of each token.
struct Elsewhere(KeyValue, Option<Tensor<4>>);

impl AttentionProcessor for Elsewhere {
    fn attend(&mut self, _layer: usize, own: SelfAttention<'_>) -> Tensor<4> {
        let qkv = Qkv { temperature: 1.5, ..Qkv::plain(own.q.clone(), self.0.clone()) };
        own.attend(qkv, self.1.clone())
    }
}

#[test]
fn a_token_outside_every_mask_attends_as_without_injection() {
    let (model, _) = load("micro15");
    let attention = &model.unet.layers.up_blocks[3].attentions[0].blocks[0].attn1;
    let width = model.unet.config.block_out_channels[0];
    let tokens = |seed: f32| {
        let values = (0..4 * width).map(|i| (i as f32 * seed).sin()).collect();
        place().tensor::<3>(values, [1, 4, width])
    };
    let (x, other) = (tokens(0.7), tokens(1.3));
    let attended = |share: Option<[f32; 4]>| {
        let share = share.map(|share| place().tensor(share.into(), [1, 1, 4, 1]));
        let mut processor = Elsewhere(attention.project(&other), share);
        let rows: Vec<f64> =
            attention.forward(x.clone(), None, Some((9, &mut processor))).into_data().iter::<f64>().collect();
        rows.chunks(width).map(<[f64]>::to_vec).collect::<Vec<_>>()
    };
    let plain: Vec<f64> = attention.forward(x.clone(), None, None).into_data().iter::<f64>().collect();
    let (injected, mixed) = (attended(None), attended(Some([1.0, 0.0, 0.25, 1.0])));
    assert_eq!(attended(Some([1.0; 4])), injected);
    assert_eq!(attended(Some([0.0; 4])).concat(), plain);
    assert_eq!([&mixed[0], &mixed[3]], [&injected[0], &injected[3]]);
    assert_eq!(mixed[1], plain[width..2 * width]);
    for (i, ours) in mixed[2].iter().enumerate() {
        let expected = 0.25 * injected[2][i] + 0.75 * plain[2 * width + i];
        assert!((ours - expected).abs() < 1e-9, "{ours} is not {expected}");
    }
}

#[test]
fn timesteps_are_embedded_as_in_the_reference() {
    let (model, golden) = load("micro15");
    for t in [0u32, 1, 501, 999] {
        let time = sinusoids(f64::from(t), &model.unet.config, &place());
        golden.assert_close(&format!("temb.t{t}"), &model.unet.layers.time_embedding.forward(time), TOLERANCE);
    }
}

fn mid(block: &VaeMidBlock, x: Tensor<4>) -> Tensor<4> {
    pollster::block_on(block.forward_bands(Bands::whole(x, usize::MAX), &silent())).expect("nothing cancels").join()
}

#[test]
fn vae_block_by_block() {
    let (model, golden) = load("micro15");
    let same = |place: &str, x: &burn::tensor::Tensor<4>| golden.assert_close(&format!("vae.{place}"), x, TOLERANCE);
    let (encoder, decoder) = (&model.vae.encoder, &model.vae.decoder);
    let mut x = encoder.conv_in.forward(input(&golden, "vae.px"));
    same("encoder.conv_in", &x);
    for (i, block) in encoder.down_blocks.iter().enumerate() {
        for resnet in &block.resnets {
            x = resnet.forward(x, None);
        }
        if let Some(downsample) = &block.downsample {
            x = downsample.forward(x);
        }
        same(&format!("encoder.down_blocks.{i}"), &x);
    }
    let attention = encoder.mid_block.attention.as_ref().expect("this VAE attends");
    same("encoder.mid_block.attentions.0", &attention.forward(encoder.mid_block.resnets[0].forward(x.clone(), None)));
    x = mid(&encoder.mid_block, x);
    same("encoder.mid_block", &x);
    x = encoder.conv_norm_out.forward(x);
    same("encoder.conv_norm_out", &x);
    x = encoder.conv_out.forward(silu(x));
    same("encoder.conv_out", &x);
    same("quant_conv", &encoder.quant_conv.as_ref().expect("this VAE has one").forward(x));
    let posterior = pollster::block_on(model.vae.encode(input(&golden, "vae.px"), &silent())).expect("nothing cancels");
    same("mean", &posterior.mean);
    same("logvar", &posterior.log_variance);

    x = decoder.post_quant_conv.as_ref().expect("this VAE has one").forward(input(&golden, "vae.mean"));
    same("post_quant_conv", &x);
    x = decoder.conv_in.forward(x);
    same("decoder.conv_in", &x);
    let attention = decoder.mid_block.attention.as_ref().expect("this VAE attends");
    same("decoder.mid_block.attentions.0", &attention.forward(decoder.mid_block.resnets[0].forward(x.clone(), None)));
    x = mid(&decoder.mid_block, x);
    same("decoder.mid_block", &x);
    for (i, block) in decoder.up_blocks.iter().enumerate() {
        for resnet in &block.resnets {
            x = resnet.forward(x, None);
        }
        if let Some(upsample) = &block.upsample {
            x = upsample.forward(x, None);
        }
        same(&format!("decoder.up_blocks.{i}"), &x);
    }
    same("decoder.conv_norm_out", &decoder.conv_norm_out.forward(x));
    let decoded = pollster::block_on(model.vae.decode(input(&golden, "vae.mean"), &silent())).expect("nothing cancels");
    same("out", &decoded);
}

fn text_encoder(name: &str) {
    let golden = Golden::load(&format!("{name}.once"));
    let folder = fixture(&format!("models/{name}/text_encoder"));
    let config: TextConfig =
        serde_json::from_slice(&std::fs::read(folder.join("config.json")).expect("a config")).expect("valid JSON");
    let bytes = std::fs::read(folder.join("model.safetensors")).expect("weights");
    let file = safetensors::SafeTensors::deserialize(&bytes).expect("a whole file");
    let ready = |(name, tensor): (&str, safetensors::tensor::TensorView)| {
        let (shape, bytes) = (tensor.shape().to_vec(), tensor.data().to_vec());
        (name.to_string(), Ready::Small(Compact { name: name.into(), dtype: Dtype::F32, shape, bytes }))
    };
    let tensors = Tensors::loaded("The text encoder", file.iter().map(ready).collect());
    let all: Vec<usize> = (0..config.vocab_size).collect();
    let encoder = TextEncoder::build(config, &all, tensors, &place()).expect("a whole model");
    let ids = |key| golden.values(key).1.iter().map(|&id| id as usize).collect::<Vec<_>>();
    let source = Folder::new(fixture(&format!("models/{name}")));
    let special = pollster::block_on(SpecialTokens::load(&source, &encoder.config)).expect("a whole tokenizer");
    assert_eq!(special.empty_prompt(77), ids("text.ids"), "ids of the empty prompt");
    for (prompt, hidden) in [("text.ids", "text.last_hidden_state"), ("text2.ids", "text2.last_hidden_state")] {
        golden.assert_close(hidden, &encoder.forward(&ids(prompt)).expect("ids of the vocabulary"), TOLERANCE);
    }
}

#[test]
fn text_encoder_of_1x() {
    text_encoder("micro15");
}

#[test]
fn text_encoder_of_2x() {
    text_encoder("micro21b");
}

#[test]
fn decoder_layers_follow_the_config() {
    let config = UnetConfig::default();
    assert_eq!(config.decoder_layers(), [3, 4, 5, 6, 7, 8, 9, 10, 11]);
    let mut shallow = UnetConfig::default();
    shallow.block_out_channels.truncate(2);
    shallow.down_block_types = vec!["CrossAttnDownBlock2D".into(), "DownBlock2D".into()];
    shallow.up_block_types.truncate(2);
    shallow.layers_per_block = crate::weights::config::PerLevel::One(1);
    assert_eq!(shallow.decoder_layers(), [2, 3]);
}

#[test]
fn a_config_may_choose_the_layers_of_injection() {
    let config = |layers: &str| serde_json::from_str::<UnetConfig>(&format!(r#"{{"_injection_layers": {layers}}}"#));
    let chosen = config("[3, 9]").expect("layers are numbers");
    assert_eq!(chosen.injection_layers.as_deref(), Some(&[3, 9][..]));
    chosen.check().expect("both are there");
    let error = config("[2, 9]").expect("numbers").check().expect_err("layer 2 has no attention");
    assert!(error.to_string().contains("_injection_layers name layer 2"), "{error}");
    assert!(config(r#""all""#).is_err());
}
