

_OWN_OPTIONS = ("loss_type", "loss_weights", "ld_alpha", "f_divergence_type", "label_smoothing")


class @CLASS@Trainer(DPOTrainer):
    """TRL's DPO trainer with the loss `@LOSS@`; written for trl 1.16.

    `loss_parameters` are the keyword arguments of `@FUNCTION@`. The options of DPOConfig that choose or
    shape a loss are refused, because this loss says itself what they say.@NOTES@
    """

    def __init__(self, *args, loss_parameters=None, **kwargs):
        config = kwargs.get("args", args[2] if len(args) > 2 else None)
        if config is None:
            raise ValueError("give the trainer its `args`, a DPOConfig")
        self.loss_parameters = dict(loss_parameters or {})
        # Not from a new DPOConfig, which refuses to be made where there is no accelerator.
        unset = {field.name: field for field in dataclasses.fields(DPOConfig)}
        for option in _OWN_OPTIONS:
            field = unset[option]
            made = field.default_factory is not dataclasses.MISSING
            if getattr(config, option) != (field.default_factory() if made else field.default):
                raise ValueError(f"DPOConfig.{option} is not used by the loss `@LOSS@`")
        if config.use_weighting:
            raise ValueError("DPOConfig.use_weighting is not used by the loss `@LOSS@`")
        if config.beta != unset["beta"].default@BETA@:
            raise ValueError("DPOConfig.beta is not used: give loss_parameters={\"beta\": ...}")
@BEFORE@        super().__init__(*args, **kwargs)
@AFTER@
    def _compute_loss(self, model, inputs, return_outputs):
        mask = inputs["completion_mask"][:, 1:].bool()
        mask_w, mask_l = mask.chunk(2)
        extra = {"completion_mask", "ref_chosen_logps", "ref_rejected_logps"@EXTRA@}
        model_inputs = {key: value for key, value in inputs.items() if key not in extra}
        model_inputs["labels"] = inputs["input_ids"].masked_fill(inputs["completion_mask"] == 0, -100)
        model_inputs.update(use_cache=False, fused_lm_head=True)
        router = {"output_router_logits": True} if self.aux_loss_enabled else {}
        outputs = model(**model_inputs, **router)
        # Prompt-learning adapters put virtual tokens in front.
        width = mask.shape[1]
        tokens = torch.where(mask, outputs.log_probs[:, -width:], 0.0)
        policy_w, policy_l = tokens.sum(-1).chunk(2)
@REFERENCE@
@COLUMNS@
        loss = @FUNCTION@(
@PASSED@            **self.loss_parameters,
        )
        mode = "train" if self.model.training else "eval"
        if self.aux_loss_enabled:
            loss = loss + self.router_aux_loss_coef * outputs.aux_loss
            self._record(mode, "aux_loss", outputs.aux_loss)
        with torch.no_grad():
            scale = self.loss_parameters.get("beta", @DEFAULT_BETA@)
            rewards_w, rewards_l = @REWARDS@
            self._record(mode, "rewards/chosen", rewards_w)
            self._record(mode, "rewards/rejected", rewards_l)
            self._record(mode, "rewards/margins", rewards_w - rewards_l)
            self._record(mode, "rewards/accuracies", (rewards_w > rewards_l).float())
            self._record(mode, "logps/chosen", policy_w)
            self._record(mode, "logps/rejected", policy_l)
            self._record(mode, "entropy", outputs.entropy[:, -width:][mask].mean())
        if mode == "train":
            seen = self.accelerator.gather(inputs["attention_mask"].sum()).sum().item()
            self._total_train_tokens += seen // self._tp_size
        self._metrics[mode]["num_tokens"] = [self._total_train_tokens]
        if return_outputs:
            with torch.no_grad():
                model_inputs.pop("fused_lm_head")
                outputs = model(**model_inputs)
            return loss, outputs
        return loss

    def _record(self, mode, name, value):
        """The mean of a value over all processes, for the log."""
        self._metrics[mode][name].append(self.accelerator.gather(value.detach()).float().mean().item())

    def _reference_tokens(self, model_inputs, mask):
        """Token log-probabilities under the reference, or under the model without its adapter."""
        checkpointing = self.args.gradient_checkpointing_kwargs
        with torch.no_grad(), disable_gradient_checkpointing(self.model, checkpointing):
            if self.ref_model is None:
                plain = self.accelerator.unwrap_model(self.model)
                adapter = "ref" if "ref" in plain.peft_config else None
                with use_adapter(plain, adapter_name=adapter):
                    outputs = self.model(**model_inputs)
            else:
                outputs = self.ref_model(**model_inputs)
        return torch.where(mask, outputs.log_probs[:, -mask.shape[1] :], 0.0)
